"""Users and their mailbox, for tests of emails about accounts."""

import pytest

from chalicelib.adapters import ses
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.services import accounts
from tests.clients import PASSWORD
from tests.factories import create_user
from tests.unit.email_worker import deliver_all
from tests.unit.handlers.api.recovery import IP, with_session
from tests.unit.mailbox import Mailbox


@pytest.fixture
def mailbox(aws: None, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    mailbox = Mailbox()
    monkeypatch.setattr(ses, "send", mailbox.send)
    return mailbox


@pytest.fixture
def ada(mailbox: Mailbox) -> Caller:
    """A student whose address is verified."""
    return create_user(Role.STUDENT, name="ada")


@pytest.fixture
def eve(mailbox: Mailbox) -> Caller:
    """A student who registered, and has not verified the address."""
    user = accounts.register("eve", "eve@example.org", PASSWORD, Role.STUDENT, client_ip=IP)
    deliver_all()
    return with_session(user)
