"""``python -m infra.chalice.cli``: Chalice's commands, also on a terminal that does not answer queries.

`chalice new-project` imports inquirer, which asks the terminal for its features when it is imported. Without an answer
(a log of a pseudo-terminal, some consoles of editors) each command of Chalice starts 10 seconds later.
"""

import sys
from types import ModuleType

sys.modules["inquirer"] = ModuleType("inquirer")

from chalice.cli import cli, main  # noqa: E402  it imports inquirer

__all__ = ["cli", "main"]

if __name__ == "__main__":
    sys.exit(main())
