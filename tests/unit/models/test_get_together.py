"""Rows of several tables by one call, also when DynamoDB leaves keys unprocessed."""

from typing import Any

import pytest

from chalicelib.adapters.dynamodb import connection
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Throttled
from chalicelib.models.base import get_together
from chalicelib.models.known_addresses import KnownAddress
from chalicelib.models.sessions import Session
from chalicelib.models.throttles import Quota, Throttle
from chalicelib.models.users import User
from tests.unit.conftest import DynamoDbRequest
from tests.unit.fake_clock import FakeClock


def test_rows_of_three_tables_come_in_the_order_of_their_keys(
    student: Caller, dynamodb_requests: list[DynamoDbRequest]
) -> None:
    KnownAddress.of(student.id, "192.0.2.7", 5).save()
    Throttle.reserve(Quota("s", 1, 900), 1000)
    dynamodb_requests.clear()

    throttle, user, known = get_together(
        (Throttle, ("s",)), (User, (student.id,)), (KnownAddress, KnownAddress.key(student.id, "192.0.2.7"))
    )
    nothing = get_together((User, ("unknown",)), (KnownAddress, KnownAddress.key("unknown", "")), (Throttle, ("t",)))

    assert throttle and user and known
    assert (throttle.subject, user.id, known.expires_at) == ("s", student.id, 5)
    assert nothing == (None, None, None)
    assert [request.operation for request in dynamodb_requests] == ["BatchGetItem"] * 2


@pytest.fixture
def unprocessed(student: Caller, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let DynamoDB leave users unprocessed, for as many calls as the list has items."""
    left, client = list[int](), connection().client
    make = client._make_api_call

    def leave_users(operation: str, parameters: dict[str, Any]) -> Any:
        if operation != "BatchGetItem" or not left:
            return make(operation, parameters)
        left.pop()
        requested = parameters["RequestItems"]
        users = {table: keys for table, keys in requested.items() if "users" in table}
        rest = {table: keys for table, keys in requested.items() if table not in users}
        found = make(operation, parameters | {"RequestItems": rest}) if rest else {"Responses": {}}
        return found | {"UnprocessedKeys": users}

    monkeypatch.setattr(client, "_make_api_call", leave_users)
    return left


def test_unprocessed_keys_are_read_again_with_backoff(
    student: Caller, unprocessed: list[int], retry_clock: FakeClock
) -> None:
    unprocessed += [0] * 3

    session, user = Session.find_with_user(student.id, student.session_id)

    assert session is not None and session.id == student.session_id
    assert user is not None and user.id == student.id
    assert len(retry_clock.waits) == 3


def test_lasting_unprocessed_keys_end_in_throttled(
    student: Caller, unprocessed: list[int], retry_clock: FakeClock
) -> None:
    unprocessed += [0] * 10_000

    with pytest.raises(Throttled) as throttled:
        Session.find_with_user(student.id, student.session_id)
    assert throttled.value.retry_after >= 1
    assert 14.5 <= retry_clock.now <= 15
