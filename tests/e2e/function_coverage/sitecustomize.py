"""Measures the branch coverage of a function in the local AWS, if its process has this folder on its PYTHONPATH.

FUNCTION_COVERAGE is the folder for the results. The other processes of the local AWS are not measured.
"""

import os
from pathlib import Path

import coverage

if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    os.environ["COVERAGE_PROCESS_START"] = str(Path(__file__).with_name("coverage.ini"))
    coverage.process_startup()
