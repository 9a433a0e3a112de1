"""The documents name only tests, commands, files and regions that exist."""

import importlib.util
import re

import pytest

from infra.config import PROJECT
from infra.platforms import SUPPORTED_REGIONS
from ops import cli

DOCUMENTS = [
    str(path.relative_to(PROJECT))
    for path in sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").glob("*.md")])
    if path.name != "CHANGELOG.md"  # it describes older versions, too
]
LEVEL_2 = PROJECT / "tests" / "unit" / "asvs_5_0_level_2.txt"  # the numbers of levels 1 and 2
PLACEHOLDERS = {
    "KIND": "report",
    "FILE": "email.eml",
    "NAME": "ada",
    "EMAIL": "ada@example.org",
    "ID": "x",
    "<ID>": "x",
    "YYYY-MM-DD": "2026-11-22",
}


def text_of(document: str) -> str:
    return (PROJECT / document).read_text(encoding="utf-8")


def test_documented_tests_exist() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", text_of("docs/security.md"))

    assert named
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (PROJECT / file).read_text()]
    assert missing == []


def test_every_requirement_of_asvs_level_2_is_in_the_security_document() -> None:
    """Met, not met with the reason, or not applicable: in the first column of one of the tables, and only once."""
    tables = text_of("docs/security.md").partition("## OWASP ASVS")[2].partition("\n## ")[0]
    cells = " ".join(line.split("|")[1] for line in tables.splitlines() if line.startswith("|"))
    named = []
    for first, last in re.findall(r"\b(\d+\.\d+\.\d+)(?:–(\d+\.\d+\.\d+))?", cells):
        chapter, number = first.rpartition(".")[::2]
        named += [f"{chapter}.{one}" for one in range(int(number), int((last or first).rpartition(".")[2]) + 1)]

    assert sorted(named) == sorted(LEVEL_2.read_text().split())


def test_supported_regions_are_listed() -> None:
    listed = text_of("docs/verification.md").partition("## Supported regions")[2].partition("##")[0]

    assert tuple(re.findall(r"[a-z]{2}-[a-z]+-\d", listed)) == SUPPORTED_REGIONS


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_make_targets_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {word for words in re.findall(r"`make ([a-z][^`=]*)`", text_of(document)) for word in words.split()}

    assert {word for word in named if re.fullmatch(r"[a-z-]+", word)} <= targets


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_manage_commands_parse(document: str) -> None:
    """Except for those with an ellipsis, which are no complete commands."""
    for command in re.findall(r"`manage\.py ([^`]+)`", text_of(document)):
        complete = re.sub(r"[\[\]]", "", command).replace("<that day>", "YYYY-MM-DD")
        words = [PLACEHOLDERS.get(word, word) for word in complete.split()]
        if "…" not in words:
            cli.parser().parse_args(words)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documented_modules_and_files_exist(document: str) -> None:
    text = text_of(document)
    for module in re.findall(r"python -m ([a-z_.]+)", text):
        assert importlib.util.find_spec(module), module
    for path in re.findall(r"`((?:chalicelib|infra|devstack|tests|docs|ops|benchmarks|\.chalice)/[\w./-]+)`", text):
        assert (PROJECT / path).exists(), path
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)", text):
        assert ((PROJECT / document).parent / link).exists(), link
