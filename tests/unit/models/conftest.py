"""Who reads and writes the rows."""

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from tests.factories import create_user


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT)
