"""The cause of a failed step, from its log."""

from pathlib import Path

import pytest

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
