"""The operator's command line: ``.venv/bin/python manage.py --help``."""

import sys
from importlib.util import find_spec

if sys.version_info < (3, 11) or find_spec("pynamodb") is None:
    sys.exit("Run this command as `.venv/bin/python manage.py`. If .venv does not exist, `make run` creates it.")

from ops.cli import main

if __name__ == "__main__":
    sys.exit(main())
