"""The error messages of failed steps, and that they delete nothing."""

from pathlib import Path

import pytest

from devstack import install
from devstack.stack import _last_line

CHALICE = """Traceback (most recent call last):
  File "/venv/chalice/cli/factory.py", line 323, in load_chalice_app
    raise RuntimeError(message)
RuntimeError: Unable to import your app.py file:

File "/project/chalicelib/services/courses.py", line 25
  def broken(:

SyntaxError: invalid syntax
"""
OTHER = """Traceback (most recent call last):
  File "/project/app.py", line 3, in <module>
    import missing
ModuleNotFoundError: No module named 'missing'
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (CHALICE, "SyntaxError: invalid syntax (/project/chalicelib/services/courses.py, line 25)"),
        (OTHER, "ModuleNotFoundError: No module named 'missing' (/project/app.py, line 3)"),
        ("Creating the API\nNo space left on device\n\n", "No space left on device"),
        ("", "no log"),
    ],
)
def test_cause_names_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    log = tmp_path / "deploy.log"
    log.write_text(text)

    assert _last_line(log) == expected


def test_linked_environment_of_another_clone_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other, link = tmp_path / "other", tmp_path / ".venv"
    other.mkdir()
    (other / "package").touch()
    link.symlink_to(other)
    monkeypatch.setattr(install, "_FOLDER", link)
    monkeypatch.setattr("sys.argv", ["install", "test"])

    assert install.main() == 1

    assert "remove the link" in capsys.readouterr().err
    assert (other / "package").exists()
