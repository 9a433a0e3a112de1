"""`manage.py email preview`: emails with sample values, without a stage and without AWS."""

import os
import subprocess
import sys
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from infra.config import PROJECT
from ops import cli
from ops.email_preview import create_sample

# An account of AWS and a stage are named by variables, of which there are none.
ENVIRONMENT = {"PATH": os.environ["PATH"]}


def preview(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "manage.py", "email", "preview", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=ENVIRONMENT, capture_output=True, check=False)


@pytest.mark.parametrize("kind", EmailKind)
def test_email_of_each_kind_is_written_to_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: EmailKind
) -> None:
    file = tmp_path / "email.eml"
    monkeypatch.setattr(sys, "argv", ["manage.py", "email", "preview", kind, "-o", str(file)])

    assert cli.main() == 0

    expected = create_sample(kind)
    email = message_from_bytes(file.read_bytes(), policy=default)
    text, html = (email.get_body((name,)) for name in ("plain", "html"))
    assert email["Subject"] == expected.subject
    assert text is not None and text.get_content().splitlines() == expected.text.splitlines()
    assert html is not None and html.get_content().splitlines() == expected.html.splitlines()
    assert ("Unsubscribe" in expected.html) is (kind in PREFERENCE_OF)


def test_preview_needs_no_stage_and_no_aws() -> None:
    shown = preview("report", "--text")

    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.decode() == create_sample(EmailKind.REPORT).text
    assert preview("verification", "--html").stdout.decode() == create_sample(EmailKind.VERIFICATION).html


def test_preview_names_the_known_kinds() -> None:
    refused = preview("letter")

    assert refused.returncode == 2
    assert b"password_reset" in refused.stderr and b"EmailKind" not in refused.stderr


def test_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    refused = preview("report", "-o", str(tmp_path / "none" / "email.eml"))

    assert refused.returncode == 1
    assert refused.stderr.startswith(b"The file cannot be written: ")
