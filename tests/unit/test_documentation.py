"""What the documents say there is, there is."""

import re

import pytest

from infra.config import PROJECT
from infra.platforms import SUPPORTED_REGIONS

_TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")


@pytest.mark.parametrize("document", ["docs/security.md"])
def test_tests_that_a_document_names_exist(document: str) -> None:
    named = _TEST.findall((PROJECT / document).read_text(encoding="utf-8"))

    assert named
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (PROJECT / file).read_text()]
    assert missing == []


def test_supported_regions_are_listed() -> None:
    text = (PROJECT / "docs" / "verification.md").read_text(encoding="utf-8")
    listed = text.partition("## Supported regions")[2].partition("##")[0]

    assert tuple(re.findall(r"[a-z]{2}-[a-z]+-\d", listed)) == SUPPORTED_REGIONS
