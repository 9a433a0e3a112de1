"""The rules of `tests.unit.services.test_audit_listing`."""

from tests.unit.services.test_audit_listing import *  # noqa: F403
