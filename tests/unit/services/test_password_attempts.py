"""Password attempts: how many get through, what each costs, and when the limit ends."""

import time
from typing import Any

import boto3
import pytest

from chalicelib.core import retries
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.errors import DomainError, InvalidInput, NotAuthenticated, Throttled, TooManyAttempts
from chalicelib.core.roles import Role
from chalicelib.models.base import Transaction
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Quota, Reservation, Throttle
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import (
    accounts,
    password_attempts,
    rate_limits,
    sessions,
)
from tests.clients import PASSWORD, unique
from tests.factories import create_user
from tests.unit.fake_clock import FakeClock
from tests.unit.round_trips import RoundTrips

HOME = "192.0.2.7"
WRONG = "wrong"


pytestmark = pytest.mark.usefixtures("verified_passwords")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(1_000_000.0)
    monkeypatch.setattr(rate_limits, "time", clock)
    monkeypatch.setattr(password_attempts, "time", clock)
    monkeypatch.setattr(retries, "time", clock)
    return clock


def reserve(clock: FakeClock, limit: int) -> Reservation:
    """Reserve as a login does that waits for others."""
    quota = Quota("s", limit, 900)
    result = Throttle.reserve(quota, int(clock.now))
    if isinstance(result, Reservation):
        return result
    return password_attempts._wait_for_reservation(quota, result, retries.WaitBudget(1))


def tries(name: str, password: str = WRONG, address: str = HOME) -> str:
    """How a login ends, in a word."""
    try:
        sessions.login(name, password, address)
    except DomainError as error:
        return type(error).__name__
    return "in"


def test_account_is_throttled_after_ten_failures(
    aws: None, monkeypatch: pytest.MonkeyPatch, verified_passwords: list[str]
) -> None:
    student = create_user(Role.STUDENT)
    started = time.time()

    responses = [tries(student.username, address=f"192.0.2.{number}") for number in range(12)]

    assert responses == ["NotAuthenticated"] * 10 + ["TooManyAttempts"] * 2
    assert len(verified_passwords) == 10
    assert tries(student.username, PASSWORD, "198.51.100.1") == "TooManyAttempts"
    with pytest.raises(TooManyAttempts) as throttled:
        sessions.login(student.username, PASSWORD, HOME)
    assert 890 < throttled.value.retry_after <= 900
    monkeypatch.setattr("chalicelib.services.rate_limits.time.time", lambda: started + 902)
    assert tries(student.username, PASSWORD) == "in"
    assert [tries(student.username) for _ in range(11)] == ["NotAuthenticated"] * 10 + ["TooManyAttempts"]


@pytest.mark.parametrize("name", ["unknown", "unknown@example.org"])
def test_unknown_username_is_throttled_alike(aws: None, name: str) -> None:
    responses = [tries(name.upper() if number % 2 else name) for number in range(12)]

    assert responses == ["NotAuthenticated"] * 10 + ["TooManyAttempts"] * 2


def test_username_and_email_share_the_account_limit(aws: None) -> None:
    student = create_user(Role.STUDENT)
    names = [student.username, f"{student.username}@example.org"]

    responses = [tries(names[number % 2]) for number in range(12)]

    assert responses == ["NotAuthenticated"] * 10 + ["TooManyAttempts"] * 2


def test_successful_login_releases_its_attempt(aws: None) -> None:
    student = create_user(Role.STUDENT)

    assert [tries(student.username, PASSWORD) for _ in range(12)] == ["in"] * 12
    assert [tries(student.username) for _ in range(9)] == ["NotAuthenticated"] * 9
    assert tries(student.username, PASSWORD) == "in"
    assert [tries(student.username) for _ in range(2)] == ["NotAuthenticated", "TooManyAttempts"]


def test_address_is_throttled_after_its_limit(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "failed_logins_per_address", 20)  # the same, in less time
    student = create_user(Role.STUDENT)

    responses = [tries(unique("x")) for _ in range(21)]

    assert responses == ["NotAuthenticated"] * 20 + ["TooManyAttempts"]
    assert tries(student.username, PASSWORD) == "TooManyAttempts"
    assert tries(student.username, PASSWORD, "192.0.2.8") == "in"
    assert Throttle.find(f"user#{student.id}") is None, "nothing is left of an attempt that was released"


def test_wrong_current_password_counts(aws: None) -> None:
    student = create_user(Role.STUDENT)

    for _ in range(10):
        with pytest.raises(InvalidInput):
            accounts.change_password(student, "wrong", "a new sphinx of quartz", HOME)

    with pytest.raises(TooManyAttempts):
        accounts.change_password(student, PASSWORD, "a new sphinx of quartz", HOME)
    assert tries(student.username, PASSWORD) == "TooManyAttempts"


def test_no_password_is_verified_without_the_throttle(aws: None, verified_passwords: list[str]) -> None:
    student = create_user(Role.STUDENT)
    boto3.client("dynamodb").delete_table(TableName="eduflow-throttles-test")

    with pytest.raises(Exception, match="ResourceNotFoundException"):
        sessions.login(student.username, PASSWORD, HOME)

    assert verified_passwords == []


@pytest.mark.parametrize(
    ("owner", "name"), [(password_attempts, "get_together"), (passwords, "verify_password"), (Transaction, "run")]
)
def test_attempt_that_raised_is_released(aws: None, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    student = create_user(Role.STUDENT)

    def fails(*_: object) -> None:
        raise Throttled

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails)
        assert [tries(student.username, PASSWORD) for _ in range(12)] == ["Throttled"] * 12

    assert [*Throttle.scan()] == []
    assert tries(student.username, PASSWORD) == "in"


def test_attempts_of_dead_processes_are_released_after_30_seconds(
    aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    student = create_user(Role.STUDENT)
    subject = f"user#{student.id}"
    for _ in range(10):
        assert isinstance(Throttle.reserve(Quota(subject, 10, 900), int(clock.now)), Reservation)

    clock.now += 29
    assert tries(student.username, PASSWORD) == "TooManyAttempts"
    clock.now += 1
    assert tries(student.username, PASSWORD) == "in"
    assert [tries(student.username) for _ in range(11)] == ["NotAuthenticated"] * 10 + ["TooManyAttempts"]


def test_failed_release_raises_the_first_error(
    aws: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    student = create_user(Role.STUDENT)

    def fails(*_: Any, **__: Any) -> None:
        raise Throttled

    def finds_no_user(*_: object) -> None:
        raise RuntimeError("first")

    monkeypatch.setattr(Throttle, "settle", fails)
    monkeypatch.setattr(password_attempts, "get_together", finds_no_user)

    with pytest.raises(RuntimeError, match="first"):
        sessions.login(student.username, PASSWORD, HOME)
    lines = [(record.message, record.__dict__["extra"]) for record in caplog.records]
    assert lines == [("A login attempt stays reserved", {"seconds": 30})] * 3


def test_unknown_user_costs_as_much_as_a_wrong_password(
    aws: None, monkeypatch: pytest.MonkeyPatch, verified_passwords: list[str]
) -> None:
    student = create_user(Role.STUDENT)
    trips = RoundTrips(monkeypatch)

    def calls_of(name: str, password: str) -> list[tuple[int, str, tuple[str, ...]]]:
        """In their order, and which of them run at the same time."""
        trips.of(lambda: tries(name, password, unique("address")))
        return [*trips.calls]

    wrong = calls_of(student.username, "wrong")
    assert [(tick, operation) for tick, operation, _ in wrong] == [
        (1, "GetItem"),
        *[(2, "UpdateItem")] * 3,
        (2, "BatchGetItem"),
        (3, "UpdateItem"),
        (3, "DeleteItem"),
        (3, "UpdateItem"),
    ]
    for name, password in (("unknown", "wrong"), ("unknown@example.org", PASSWORD)):
        assert calls_of(name, password) == wrong
    assert calls_of(student.username, "wrong") == calls_of("unknown", "wrong"), "a second failure"
    assert len(verified_passwords) == 5
    for _ in range(8):
        for name in (student.username, "unknown"):
            assert tries(name) == "NotAuthenticated"
    assert calls_of(student.username, "wrong") == calls_of("unknown", "wrong"), "both are throttled"
    assert len(verified_passwords) == 5 + 16


def test_deactivated_user_gets_the_same_response(aws: None) -> None:
    student, admin = create_user(Role.STUDENT), create_user(Role.ADMIN)
    assert isinstance(admin, Caller)
    User(student.id).update([User.is_active.set(False)])

    said: list[Any] = []
    for name, password in ((student.username, PASSWORD), (student.username, "wrong"), ("unknown", "wrong")):
        with pytest.raises(NotAuthenticated) as refused:
            sessions.login(name, password, HOME)
        said.append(refused.value.detail)

    assert len(set(said)) == 1


def test_attempt_waits_for_others_a_second(aws: None, clock: FakeClock) -> None:
    for _ in range(10):  # in progress: they may succeed
        Throttle.reserve(Quota("s", 10, 900), int(clock.now))

    with pytest.raises(TooManyAttempts) as throttled:
        reserve(clock, 10)

    assert 0.7 < clock.now - 1_000_000 <= 1
    assert all(0 <= wait <= 0.2 for wait in clock.waits)
    assert throttled.value.retry_after == 1


def test_waiting_attempt_continues_when_another_succeeds(
    aws: None, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    held = [Throttle.reserve(Quota("s", 1, 900), int(clock.now))]

    def sleep(seconds: float) -> None:
        if held:
            reservation = held.pop()
            assert isinstance(reservation, Reservation)
            Throttle.settle(reservation, succeeded=True)
        clock.now += seconds

    monkeypatch.setattr(clock, "sleep", sleep)

    assert reserve(clock, 1).expires_at == 1_000_900


def test_window_ends_at_its_second(aws: None, clock: FakeClock) -> None:
    reservation = reserve(clock, 1)
    Throttle.settle(reservation, succeeded=False)

    clock.now = 1_000_899.0
    with pytest.raises(TooManyAttempts) as throttled:
        reserve(clock, 1)
    assert throttled.value.retry_after == 1
    clock.now = 1_000_900.0
    assert reserve(clock, 1).expires_at == 1_001_800


def test_known_address_has_its_own_allowance(aws: None) -> None:
    student = create_user(Role.STUDENT)
    assert tries(student.username, PASSWORD, HOME) == "in"

    elsewhere = [tries(student.username, address=f"198.51.100.{number}") for number in range(11)]

    assert elsewhere == ["NotAuthenticated"] * 10 + ["TooManyAttempts"]
    assert tries(student.username, PASSWORD, "198.51.100.99") == "TooManyAttempts"
    assert tries(student.username, PASSWORD, HOME) == "in", "others cannot lock out the user"
    assert [tries(student.username) for _ in range(11)] == ["NotAuthenticated"] * 10 + ["TooManyAttempts"]


def test_allowance_that_does_not_apply_is_released_and_not_waited_for(aws: None, clock: FakeClock) -> None:
    student = create_user(Role.STUDENT)
    assert tries(student.username, PASSWORD, HOME) == "in"
    of_all = Quota(f"user#{student.id}", 10, 900)
    reserved = [Throttle.reserve(of_all, int(clock.now)) for _ in range(9)]  # in progress elsewhere

    assert tries(student.username, WRONG, HOME) == "NotAuthenticated"
    reserved.append(Throttle.reserve(of_all, int(clock.now)))
    assert {type(one) for one in reserved} == {Reservation}, "the attempt at home holds none of them"
    assert tries(student.username, WRONG, HOME) == "NotAuthenticated"
    assert clock.waits == []
    assert tries(student.username, WRONG, "198.51.100.1") == "TooManyAttempts"
    assert clock.waits != []
    window = Throttle.find(of_all.subject)
    assert window is not None and (window.reserved, window.failed) == (10, 0)
    assert Throttle.find(f"user#{student.id}#198.51.100.1") is None


def test_known_address_is_known_for_30_days(aws: None, clock: FakeClock) -> None:
    student = create_user(Role.STUDENT)
    assert tries(student.username, PASSWORD, HOME) == "in"
    [row] = KnownAddress.all_of_user(student.id)
    assert (row.network, row.expires_at) == (HOME, clock.now + 31 * 24 * 60 * 60)

    clock.now = float(row.expires_at)  # its TTL may delete it days later
    assert [tries(student.username) for _ in range(10)] == ["NotAuthenticated"] * 10
    assert tries(student.username, address="198.51.100.1") == "TooManyAttempts"


def test_known_address_is_stored_once_a_day(aws: None, clock: FakeClock, dynamodb_calls: list[str]) -> None:
    student = create_user(Role.STUDENT)
    day = 24 * 60 * 60
    expiries = []
    for seconds in (0, day, day + 1):
        clock.now = 1_000_000.0 + seconds
        assert tries(student.username, PASSWORD, HOME) == "in"
        expiries += [row.expires_at - 1_000_000 - 31 * day for row in KnownAddress.all_of_user(student.id)]

    assert expiries == [0, 0, day + 1]


def test_known_addresses_are_no_sessions(aws: None) -> None:
    student = create_user(Role.STUDENT)
    assert tries(student.username, PASSWORD, HOME) == "in"

    assert len({session.id for session in Session.all_of_user(student.id)}) == 2
    assert sum(Session.delete_all_of_user(student.id)) == 3
    assert [*KnownAddress.all_of_user(student.id)] == []


def test_61st_login_in_15_minutes_is_throttled(aws: None, clock: FakeClock) -> None:
    student = create_user(Role.STUDENT)

    logins = [tries(student.username, PASSWORD, f"192.0.2.{number % 2}") for number in range(61)]

    assert logins == ["in"] * 60 + ["TooManyAttempts"]
    assert len([*Session.all_of_user(student.id)]) == 61, "of these logins, and of the user's creation"
    with pytest.raises(TooManyAttempts, match="Too many logins") as throttled:
        sessions.login(student.username, PASSWORD, HOME)
    assert throttled.value.retry_after == 900
    clock.now += 900
    assert tries(student.username, PASSWORD) == "in"
    window = Throttle.find(f"logins#{student.id}")
    assert window is not None and window.reserved == 1, "a new window"


def test_unlock_clears_more_windows_than_fit_into_a_transaction(aws: None) -> None:
    student = create_user(Role.STUDENT)
    subjects = [f"user#{student.id}#{number}" for number in range(120)]
    for subject in subjects:
        Throttle(subject, reserved=1, expires_at=2_000_000_000).save()
    entries: list[int] = []

    assert Throttle.delete_all(subjects, lambda transaction: entries.append(1)) == 120
    assert [*Throttle.scan()] == []
    assert entries == [1]


def test_unlock_clears_all_windows_of_an_account(aws: None) -> None:
    student, other = create_user(Role.STUDENT), create_user(Role.STUDENT)
    assert tries(student.username, PASSWORD, HOME) == "in"
    for address in (HOME, "198.51.100.1"):
        assert [tries(student.username, address=address) for _ in range(11)][-1] == "TooManyAttempts"
    assert tries(other.username) == "NotAuthenticated"

    assert password_attempts.unlock(student.id) == 3
    assert tries(student.username, PASSWORD, HOME) == "in"
    assert tries(student.username, PASSWORD, "198.51.100.2") == "in"
    window = Throttle.find(f"user#{other.id}")
    assert window is not None and window.failed == 1
