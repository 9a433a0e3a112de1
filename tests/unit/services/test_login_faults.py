"""Logins that meet a crash, a throttled or repeated call, a concurrent change, or each other."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ReadTimeoutError

from chalicelib.adapters.dynamodb import connection
from chalicelib.core import retries
from chalicelib.core.caller import Caller
from chalicelib.core.errors import DomainError, NotAuthenticated, Throttled
from chalicelib.core.roles import Role
from chalicelib.models.base import add_nothing
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import password_attempts, sessions, users
from tests.clients import PASSWORD
from tests.factories import create_user
from tests.unit.conftest import refused
from tests.unit.fake_clock import FakeClock
from tests.unit.round_trips import RoundTrips

HOME, ELSEWHERE = "192.0.2.7", "198.51.100.1"
CALLS_OF_A_LOGIN = 9  # name; account and three reservations; session and three releases


class ProcessDied(BaseException):
    """Nothing runs after it."""


pytestmark = pytest.mark.usefixtures("verified_passwords")


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(1_000_000.0)
    monkeypatch.setattr(password_attempts, "time", clock)
    monkeypatch.setattr(retries, "time", clock)
    return clock


def log_in(student: Caller, password: str = PASSWORD, address: str = HOME) -> str:
    """Return how a login ends, in a word."""
    try:
        sessions.login(student.username, password, address)
    except DomainError as error:
        return type(error).__name__
    return "in"


def stored_logins(student: Caller) -> tuple[int, int]:
    """Return the number of sessions that logins created, and the number of counted logins."""
    window = Throttle.find(f"logins#{student.id}")
    return len([*Session.all_of_user(student.id)]) - 1, int(window.reserved) if window else 0


@pytest.mark.parametrize("address", [HOME, ELSEWHERE])
def test_ten_of_many_concurrent_guesses_are_verified(
    student: Caller, verified_passwords: list[str], address: str
) -> None:
    """Both with an allowance of the address, and with that of all addresses."""
    assert log_in(student) == "in"
    verified_passwords.clear()

    with ThreadPoolExecutor(24) as pool:
        outcomes = [*pool.map(lambda number: log_in(student, f"guess {number}", address), range(40))]

    assert sorted(outcomes) == ["NotAuthenticated"] * 10 + ["TooManyAttempts"] * 30
    assert len(verified_passwords) == 10


def test_attempt_is_counted_before_its_password_is_verified(student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    reserved: list[dict[str, float]] = []

    def verify(password: str, password_hash: str | None) -> bool:
        reserved.append({row.subject: row.reserved for row in Throttle.scan()})
        return False

    monkeypatch.setattr(passwords, "verify_password", verify)

    assert [log_in(student, "wrong") for _ in range(2)] == ["NotAuthenticated"] * 2
    for number, subjects in enumerate(reserved, 1):
        assert subjects[f"user#{student.id}"] == subjects[f"address#{HOME}"] == number


def deactivate(student: Caller) -> None:
    users.apply_changes(student.id, {"is_active": False})


def change_password(student: Caller) -> None:
    user = User.find(student.id)
    assert user is not None
    user.change_password("another hash", add_nothing)


def erase(student: Caller) -> None:
    users.erase(student.id)


def purge(student: Caller) -> None:
    users.erase(student.id)
    assert User.purge_tombstone(student.id, "9999")


@pytest.mark.parametrize("change", [deactivate, erase, purge, change_password])
def test_account_that_changes_during_a_login_gets_no_session(
    student: Caller, monkeypatch: pytest.MonkeyPatch, change: Callable[[Caller], None]
) -> None:
    def change_and_verify(password: str, password_hash: str | None) -> bool:
        change(student)
        return True

    monkeypatch.setattr(passwords, "verify_password", change_and_verify)

    with pytest.raises(NotAuthenticated, match="Invalid credentials"):
        sessions.login(student.username, PASSWORD, HOME)
    assert stored_logins(student) == (0, 0)
    assert [*Throttle.scan()] == [], "the attempt is released"


def test_account_erased_before_it_is_read_is_unknown(student: Caller) -> None:
    users.erase(student.id)

    with password_attempts.password_attempt(user_id=student.id, name=student.username, address=HOME) as attempt:
        assert attempt.user is None


@pytest.fixture
def die_after(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Let the process die after as many calls as the list's only item says; concurrent calls are made in turn."""
    RoundTrips(monkeypatch)
    left: list[int] = []
    make = BaseClient._make_api_call

    def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if left:
            if left[0] == 0:
                raise ProcessDied
            left[0] -= 1
        return make(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    yield left


@pytest.mark.parametrize("calls", range(CALLS_OF_A_LOGIN + 1))
@pytest.mark.parametrize("address", [HOME, ELSEWHERE])
def test_process_that_dies_leaves_a_usable_account(
    student: Caller, clock: FakeClock, die_after: list[int], calls: int, address: str
) -> None:
    """However often it dies after the same call."""
    assert log_in(student) == "in"
    for _ in range(10):
        die_after[:] = [calls]
        if calls < CALLS_OF_A_LOGIN:
            with pytest.raises(ProcessDied):
                log_in(student, PASSWORD, address)
        else:
            assert log_in(student, PASSWORD, address) == "in"
    die_after.clear()

    created, counted = stored_logins(student)
    assert created == counted
    clock.now += 31
    assert log_in(student, PASSWORD, address) == "in"
    assert log_in(student, PASSWORD, "203.0.113.1") == "in"


OPERATIONS = ("GetItem", "BatchGetItem", "UpdateItem", "TransactWriteItems", "DeleteItem")


@pytest.mark.parametrize("operation", OPERATIONS)
def test_login_retries_a_throttled_call(student: Caller, fail_calls: Callable[..., list[int]], operation: str) -> None:
    fail_calls(operation, *[refused(operation, "ThrottlingException")] * 2)

    assert log_in(student) == "in"
    assert stored_logins(student) == (1, 1)


@pytest.mark.parametrize("operation", OPERATIONS[:-1])
def test_login_during_lasting_throttling_is_refused_and_leaves_nothing(
    student: Caller, fail_calls: Callable[..., list[int]], operation: str, clock: FakeClock
) -> None:
    calls = fail_calls(operation, *[refused(operation, "ThrottlingException")] * 1_000)

    with pytest.raises(Throttled), retries.request_budget():
        sessions.login(student.username, PASSWORD, HOME)
    assert calls
    assert [session.id for session in Session.all_of_user(student.id)] == [student.session_id]
    assert [*Throttle.scan()] == []


def test_login_is_not_refused_because_its_release_fails(
    student: Caller, fail_calls: Callable[..., list[int]], caplog: pytest.LogCaptureFixture
) -> None:
    fail_calls("DeleteItem", *[refused("DeleteItem", "ValidationException")] * 3)

    assert log_in(student) == "in"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "A login attempt stays reserved"
    ] * 3


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one != "TransactWriteItems"])
def test_repeated_call_of_a_login_counts_no_attempt_less(
    student: Caller,
    monkeypatch: pytest.MonkeyPatch,
    retry_clock: FakeClock,
    verified_passwords: list[str],
    operation: str,
) -> None:
    """The response of the first call is lost, so that it is made again.

    Not of a transaction: DynamoDB carries out a repeated one once (models/test_retries.py), but moto does not.
    """
    client, lost = connection().client, list[int]()
    make = client._make_api_call

    def lose_response(name: str, parameters: dict[str, Any]) -> Any:
        response = make(name, parameters)
        if name == operation and not lost:
            lost.append(1)
            raise ReadTimeoutError(endpoint_url="")
        return response

    monkeypatch.setattr(client, "_make_api_call", lose_response)

    assert log_in(student) == "in"
    assert lost
    assert stored_logins(student) == (1, 1)
    verified_passwords.clear()
    outcomes = [log_in(student, "wrong", ELSEWHERE) for _ in range(12)]
    assert len(verified_passwords) <= 10
    assert outcomes[-1] == "TooManyAttempts"
