"""The words that CONTRIBUTING.md excludes: in code, documents and the OpenAPI document."""

import re
import subprocess
from pathlib import Path

import pytest

from infra.config import PROJECT

WORDS = (
    "anew", "beside", "owed", "at work", "goes", "gone", "held against", "told", "in vain", "nobody", "somebody",
    "what is", "thing", "things", "moment", "moments", "door", "doors", "house",
)  # fmt: skip
_PATTERN = re.compile(rf"\b({'|'.join(WORDS)})\b", re.IGNORECASE)
_REASON_PHRASE = '"Gone"'  # of the status 410 (RFC 9110 §15.5.11)
_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".json", ".txt", ".html", ".css", ".js", ".http", ".toml"}
# This file lists the words, LICENSE quotes others, and the vendored list has passwords.
_EXCLUDED = {"tests/unit/test_vocabulary.py"}


def text_files() -> list[str]:
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.check_output(listing, cwd=PROJECT, text=True).splitlines()
    kept = (name for name in names if Path(name).suffix in _SUFFIXES or name in ("Makefile", ".ci/run"))
    return sorted(name for name in kept if name not in _EXCLUDED and (PROJECT / name).is_file())


@pytest.mark.parametrize("name", text_files())
def test_file_uses_no_excluded_word(name: str) -> None:
    lines = (PROJECT / name).read_text(encoding="utf-8").replace(_REASON_PHRASE, "").splitlines()
    found = [f"{number}: {line.strip()}" for number, line in enumerate(lines, start=1) if _PATTERN.search(line)]

    assert found == []
