"""``python -m tests.fault_injection``: inject faults and print the results as tables.

The exit status is 1 if data was lost.

python -m tests.fault_injection api                   # 24 requests a fault and operation
python -m tests.fault_injection idempotency           # 24 keys a fault and operation
python -m tests.fault_injection emails                # 2,000 enrollments a fault
python -m tests.fault_injection account_emails        # 60 users a fault, with three emails each
python -m tests.fault_injection deletions             # 20,000
python -m tests.fault_injection places                # 600 requests a fault
python -m tests.fault_injection opening               # 1,000 students join a course with ten places
python -m tests.fault_injection reports
python -m tests.fault_injection emails.killed deletions.lost --number 60
python -m tests.fault_injection emails.killed api.none --short
"""

import argparse
import dataclasses
import importlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fault_injection.school import School
from tests.stack import RunningStack, copy_project

NUMBERS = {"api": 24, "idempotency": 24, "emails": 2000, "account_emails": 60, "deletions": 20_000}
NUMBERS |= {"places": 600, "opening": 1000, "reports": 0}
SHORT_NUMBERS = {"api": 6, "idempotency": 6, "emails": 40, "account_emails": 20, "deletions": 60}
SHORT_NUMBERS |= {"places": 96, "opening": 40, "reports": 0}


def main() -> int:
    """Run the named faults."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fault_injection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("faults", nargs="+", help=f"a kind ({', '.join(NUMBERS)}), or one fault: emails.killed")
    parser.add_argument("--number", type=int, help="of enrollments or users for each fault")
    parser.add_argument("--short", action="store_true", help="with the small numbers of the end-to-end tests")
    options = parser.parse_args()
    numbers = SHORT_NUMBERS if options.short else NUMBERS
    try:
        wanted = list(_wanted(options.faults))
    except ValueError as error:
        parser.error(str(error))
    tables: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        stack = RunningStack(copy_project(Path(folder)))
        _say("starting a stack of its own ...")
        stack.start()
        school = School(stack)
        try:
            for kind, fault in wanted:
                number = numbers[kind] if options.number is None else options.number
                started = time.monotonic()
                for row in importlib.import_module(f"tests.fault_injection.{kind}").run(school, number, fault):
                    tables.setdefault(kind, []).append(dataclasses.asdict(row) | {"good": row.is_good})
                    _say(f"{json.dumps(tables[kind][-1])}  {time.monotonic() - started:.0f} s")
        finally:
            school.close()
            stack.stop()
    for rows in tables.values():
        _print(rows)
    return 0 if all(row["good"] for rows in tables.values() for row in rows) else 1


def _wanted(names: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of each selected fault.

    Raises ValueError for an unknown one.
    """
    for name in names:
        kind, _, fault = name.partition(".")
        if kind not in NUMBERS:
            raise ValueError(f"unknown kind '{kind}' (choose from {', '.join(NUMBERS)})")
        faults = importlib.import_module(f"tests.fault_injection.{kind}").FAULTS
        if fault and fault not in faults:
            raise ValueError(f"unknown fault '{name}' (choose from {', '.join(f'{kind}.{each}' for each in faults)})")
        for each in [fault] if fault else faults:
            yield kind, each


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _print(rows: list[dict[str, Any]]) -> None:
    """Print a table in Markdown."""
    names = [*rows[0]]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in names)} |")
    print()


if __name__ == "__main__":
    sys.exit(main())
