"""pytest plugin: keep each worker of pytest-xdist on one core.

Tests of several threads that take turns need half of the time on one core, because the interpreter lets only one of
them run, and passing the turn to another core is slow.
"""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Choose the core by the number of the worker; without effect where the system has no such setting (macOS)."""
    worker = getattr(config, "workerinput", None)
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker["workerid"].removeprefix("gw")) % len(cores)]})
