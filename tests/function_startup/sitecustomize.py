"""Runs when the local AWS starts a function, if PYTHONPATH has this folder: Python imports a module of this name.

FUNCTION_COVERAGE is the folder for the branch coverage of the function, and CLOCK_FILE has the shift of its clock. The
other processes of the local AWS are not measured.
"""

import os
from pathlib import Path

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ and "FUNCTION_COVERAGE" in os.environ:
    import coverage

    os.environ["COVERAGE_PROCESS_START"] = str(Path(__file__).with_name("coverage.ini"))
    coverage.process_startup()

if "CLOCK_FILE" in os.environ:
    import shifted_clock  # type: ignore[import-not-found]  # in this folder, which is on the path

    shifted_clock.install(Path(os.environ["CLOCK_FILE"]))
