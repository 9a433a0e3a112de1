"""``python -m devstack.clean`` (make clean): delete what the other commands create. It needs no installed package."""

import shutil
import sys

from infra.config import PROJECT
from infra.local_stage import HOME, is_running

_CREATED = (
    ".local", ".venv", "build", ".coverage", ".hypothesis", ".mypy_cache", ".ruff_cache", ".pytest_cache", "mutants",
    ".chalice/deployed", ".chalice/deployments",
)  # fmt: skip


def main() -> int:
    """Delete everything, or nothing if a stack is running; return the exit status."""
    if is_running(HOME):
        print("EduFlow is running from this folder: stop it first (Ctrl-C).", file=sys.stderr)
        return 1
    try:
        for name in _CREATED:
            path = PROJECT / name
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
    except OSError as error:
        print(f"Not everything was deleted: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
