"""Files that are shipped with the package."""

from functools import cache
from pathlib import Path
from string import Template

_PACKAGE = Path(__file__).parents[1]
OPENAPI_FILE = _PACKAGE / "data" / "openapi.json"
COMMON_PASSWORDS_FILE = _PACKAGE / "data" / "common-passwords.txt.gz"


@cache
def template(name: str) -> Template:
    """Return a template of an email, by its file name in templates/."""
    return Template((_PACKAGE / "templates" / name).read_text(encoding="utf-8"))


@cache
def page_file(name: str) -> str:
    """Return a file of the HTML pages, by its name in pages/."""
    return (_PACKAGE / "pages" / name).read_text(encoding="utf-8")
