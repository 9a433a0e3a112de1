"""Runs when a function or command starts, if PYTHONPATH has this folder: Python imports a module of this name.

FUNCTION_COVERAGE is the folder for the branch coverage of functions, of `chalice local` and of `manage.py`, and
CLOCK_FILE has the shift of their clock. The creation of the demo data and the other processes of the local AWS are not
measured.
"""

import os
import sys
from pathlib import Path

_is_function = "AWS_LAMBDA_FUNCTION_NAME" in os.environ
_is_chalice_local = "devstack.chalice_local" in sys.orig_argv
_is_command = sys.orig_argv[1:2] == ["manage.py"] and "demo" not in sys.orig_argv

if "FUNCTION_COVERAGE" in os.environ and (_is_function or _is_chalice_local or _is_command):
    import coverage

    os.environ["COVERAGE_PROCESS_START"] = str(Path(__file__).with_name("coverage.ini"))
    coverage.process_startup()

if "CLOCK_FILE" in os.environ:
    import shifted_clock  # type: ignore[import-not-found]  # in this folder, which is on the path

    shifted_clock.install(Path(os.environ["CLOCK_FILE"]))
