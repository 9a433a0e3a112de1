"""Users and their mailbox, for tests of emails about accounts; requests with an Idempotency-Key."""

import pytest

from chalicelib.adapters import ses, sqs
from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.models import idempotency_records
from chalicelib.security import signing_keys
from chalicelib.services import accounts
from tests.clients import PASSWORD
from tests.factories import create_user
from tests.unit.email_worker import deliver_all
from tests.unit.fake_clock import FakeClock
from tests.unit.handlers.api.idempotency import RESOURCES, AwsCalls, Creation
from tests.unit.handlers.api.recovery import IP, with_session
from tests.unit.handlers.conftest import ApiClient
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


@pytest.fixture(params=RESOURCES)
def resource(request: pytest.FixtureRequest) -> str:
    """The resource to create: each kind, unless a test selects some."""
    return str(request.param)


@pytest.fixture
def lease_clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """The clock of the leases and expirations of idempotency records."""
    clock = FakeClock(1_800_000_000)
    monkeypatch.setattr(idempotency_records, "time", clock)
    return clock


@pytest.fixture
def aws_calls(aws: None, monkeypatch: pytest.MonkeyPatch) -> AwsCalls:
    """The calls to AWS, but for those that a process makes once."""
    signing_keys.signing_keys()
    sqs.queue_url(sqs.EMAILS)
    return AwsCalls(monkeypatch)


@pytest.fixture
def creation(http: ApiClient, resource: str, lease_clock: FakeClock) -> Creation:
    return Creation(http, resource)
