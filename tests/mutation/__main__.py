"""``make mutants``: run the unit tests on mutants of the rules, and compare the scores with their minimum.

mutmut changes one operator, number, text or argument at a time. A mutant is killed if a unit test fails, or times out.
mypy rejects most mutants before: they need no test. Survivors that are accepted are in survivors.md, with reasons.
"""

import argparse
import os
import subprocess
import sys
from collections import Counter, defaultdict
from fnmatch import fnmatchcase

MINIMUM_PERCENT = {"models": 90, "schemas": 90, "security": 90, "services": 90, "web": 90}
SAMPLE_MINIMUM_PERCENT = 85  # of all packages: a sample is small
# Runs while modules are imported, before mutmut selects a mutant: its mutants are never active.
IMPORT_TIME = (
    "chalicelib.web.routing.xǁApiBlueprintǁ*",
    "chalicelib.web.routing.x__access_of__*",
    "chalicelib.web.routing.x__dispatcher__*",
)
_KILLED, _SURVIVED = ("killed", "timeout"), "survived"


def main() -> int:
    """Run all mutants, or with ``--sample`` those of one number, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__, allow_abbrev=False)
    parser.add_argument("--sample", type=int, metavar="N", help="only the N-th mutant of each function")
    number = parser.parse_args().sample
    pattern = f"*__mutmut_{number}" if number else "*"
    mutmut = [sys.executable, "-m", "mutmut"]
    run = subprocess.run([*mutmut, "run", "--max-children", str(os.cpu_count()), pattern], check=False)
    if run.returncode:
        return run.returncode
    output = subprocess.run([*mutmut, "results", "--all", "true"], check=True, capture_output=True, text=True).stdout
    results = [line.strip().rsplit(": ", 1) for line in output.splitlines() if ": " in line]
    selected = {name: state for name, state in results if fnmatchcase(name, pattern)}
    return _report(selected, is_sample=number is not None)


def _report(results: dict[str, str], *, is_sample: bool) -> int:
    """Print the survivors and the score of each package, and return 1 if one is below its minimum."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, state in results.items():
        if any(fnmatchcase(name, pattern) for pattern in IMPORT_TIME):
            continue
        counts[name.split(".")[1]]["killed" if state in _KILLED else state] += 1
        if state == _SURVIVED:
            print(f"survived: {name} (python -m mutmut show {name})")
    failed = False
    total = sum(counts.values(), Counter[str]())
    minimums = {} if is_sample else MINIMUM_PERCENT
    for package, count in [*sorted(counts.items()), ("all", total)]:
        tested = count["killed"] + count[_SURVIVED]
        percent = 100 * count["killed"] / tested if tested else 100.0
        minimum = SAMPLE_MINIMUM_PERCENT if is_sample and package == "all" else minimums.get(package, 0)
        failed |= percent < minimum
        by_mypy = count["caught by type check"]
        print(f"{package:<9} {percent:5.1f} % of {tested} killed (minimum {minimum} %), {by_mypy} more by mypy")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
