"""The rules of `tests.unit.services.test_exports`."""

from tests.unit.services.test_exports import *  # noqa: F403
