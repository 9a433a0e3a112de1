"""What the documents say there is, there is."""

import re

import pytest

from tests.support import PROJECT

_TEST = re.compile(r"`(tests/\S+\.py)::(\w+)`")


@pytest.mark.parametrize("document", ["docs/security.md"])
def test_the_tests_that_a_document_names_exist(document: str) -> None:
    named = _TEST.findall((PROJECT / document).read_text(encoding="utf-8"))

    assert named
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (PROJECT / file).read_text()]
    assert missing == []
