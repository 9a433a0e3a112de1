"""Each act leaves exactly one entry, in its own transaction: once, refused, raced, under faults, and killed."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from random import Random
from threading import Barrier
from typing import Any

import pytest
from pynamodb.exceptions import PynamoDBException, VerboseClientError

from chalicelib.adapters import sqs
from chalicelib.adapters.dynamodb import connection
from chalicelib.core.audit import Action
from chalicelib.core.caller import Caller
from chalicelib.core.errors import DomainError
from chalicelib.core.roles import Role
from chalicelib.models.audit import AuditEntry
from chalicelib.observability import logs
from chalicelib.security import passwords
from chalicelib.services import password_attempts
from tests.clients import PASSWORD
from tests.factories import create_user
from tests.unit.audited_acts import EACH_ACT, NEW_PASSWORD, Act, Target
from tests.unit.conftest import refused
from tests.unit.fake_clock import FakeClock

AT_ONCE = 12


class ProcessDied(BaseException):
    """Nothing runs after it."""


@pytest.fixture
def admin(aws: None, monkeypatch: pytest.MonkeyPatch) -> Caller:
    """An admin. Passwords are not hashed, and messages to queues are accepted."""
    monkeypatch.setattr(passwords, "hash_password", lambda password: f"hash of {password}")
    monkeypatch.setattr(passwords, "verify_password", lambda password, kept: password == PASSWORD)
    monkeypatch.setattr(sqs, "send", lambda *_, **__: True)
    logs.request_id.set("the request")
    return create_user(Role.ADMIN)


Intercept = Callable[[Callable[[], Any], dict[str, Any]], Any]


@pytest.fixture
def intercept(admin: Caller, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Intercept | None], None]]:
    """Let a function carry out each call to DynamoDB, or not. A transaction's token works as on AWS."""
    client, done = connection().client, dict[str, Any]()
    make = client._make_api_call
    through: list[Intercept] = []

    def carry_out(name: str, parameters: dict[str, Any]) -> Any:
        token = parameters.get("ClientRequestToken", "")
        if token in done:
            return done[token]
        response = make(name, parameters)
        if token:
            done[token] = response
        return response

    def call(name: str, parameters: dict[str, Any]) -> Any:
        return through[0](lambda: carry_out(name, parameters), parameters) if through else carry_out(name, parameters)

    def arrange(function: Intercept | None) -> None:
        through[:] = [function] if function else []

    monkeypatch.setattr(client, "_make_api_call", call)
    yield arrange


def fields_of(entry: AuditEntry) -> dict[str, Any]:
    names = ("actor", "actor_role", "via", "action", "subject_kind", "subject", "changes", "request_id")
    return {name: getattr(entry, name) for name in names}


@EACH_ACT
def test_act_leaves_one_entry(act: Act, admin: Caller) -> None:
    target = act.prepare()

    act.do(admin, target)

    assert act.has_happened(target)
    [entry] = act.entries(target)
    actor, role, via = {
        "admin": (admin.id, "admin", "api"),
        "operator": ("operator", None, "operator"),
        "self": (target.id, "student", "api"),
    }[act.actor]
    kind = act.action.partition(".")[0]
    assert fields_of(entry) == {
        "actor": actor,
        "actor_role": role,
        "via": via,
        "action": act.action,
        "subject_kind": {"password": "user", "capacity": "course", "waitlist": "enrollment"}.get(kind, kind),
        "subject": act.subject(target),
        "changes": act.changes,
        "request_id": "the request",
    }


@EACH_ACT
def test_entry_is_written_in_the_transaction_of_its_act(act: Act, admin: Caller, dynamodb_requests: list[Any]) -> None:
    target = act.prepare()
    dynamodb_requests.clear()

    act.do(admin, target)

    writes = [request for request in dynamodb_requests if "eduflow-audit-test" in json.dumps(request.body)]
    [transaction] = writes
    puts = [item["Put"] for item in transaction.body["TransactItems"] if "Put" in item]
    [put] = [put for put in puts if put["TableName"] == "eduflow-audit-test"]
    assert transaction.operation == "TransactWriteItems"
    assert len(transaction.body["TransactItems"]) > 1
    assert "attribute_not_exists" in put["ConditionExpression"]


@EACH_ACT
def test_entry_has_no_personal_data(act: Act, admin: Caller) -> None:
    target = act.prepare()
    act.do(admin, target)

    [entry] = act.entries(target)
    text = json.dumps(entry.to_simple_dict())
    for personal in (target.name, "@", "example.org", "Private", "Knots", PASSWORD, NEW_PASSWORD, admin.username):
        assert not personal or personal not in text


@EACH_ACT
def test_repeated_act_leaves_no_second_entry(act: Act, admin: Caller) -> None:
    """It is refused, or changes nothing. A lesson that is created twice is two lessons."""
    target = act.prepare()
    act.do(admin, target)
    before = len([*AuditEntry.scan()])

    with suppress(DomainError):
        act.do(admin, target)

    assert len([*AuditEntry.scan()]) == before + (act.action is Action.LESSON_CREATED)


@EACH_ACT
def test_refused_act_leaves_no_entry(act: Act, admin: Caller) -> None:
    target = act.prepare()
    before = len([*AuditEntry.scan()])

    if act.refuse:
        with suppress(DomainError):
            act.refuse(target)
    else:
        with pytest.raises(DomainError):
            act.do(target.outsider, target)

    assert not act.has_happened(target)
    assert len([*AuditEntry.scan()]) == before


@EACH_ACT
def test_acts_at_once_leave_as_many_entries_as_happened(
    act: Act, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_attempts, "_WAIT_SECONDS", 10)
    target, together = act.prepare(), Barrier(AT_ONCE)
    before = len([*AuditEntry.scan()])

    def do(_: int) -> None:
        together.wait()
        with suppress(DomainError):
            act.do(admin, target)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        [*pool.map(do, range(AT_ONCE))]

    assert act.has_happened(target)
    assert len([*AuditEntry.scan()]) - before == act.of_race


@EACH_ACT
def test_entries_equal_acts_when_a_fifth_of_the_calls_fails(
    act: Act, admin: Caller, intercept: Callable[[Intercept | None], None], retry_clock: FakeClock
) -> None:
    """A fifth of the calls is refused by a server error, or its response is lost, however often they are repeated."""
    targets, numbers = list[Target](), dict[str, int]()

    def fail_sometimes(carry_out: Callable[[], Any], parameters: dict[str, Any]) -> Any:
        number = numbers.setdefault(json.dumps(parameters, sort_keys=True), len(numbers) + 1)
        fate = Random(number).random()
        if fate < 0.1:
            raise refused("Call", "InternalServerError", 500)
        response = carry_out()
        if fate > 0.9:
            raise refused("Call", "InternalServerError", 500)
        return response

    outcomes = set[bool]()
    while len(targets) < 10 or len(outcomes) < 2:  # until at least one act has happened and one has failed
        targets.append(act.prepare())
        intercept(fail_sometimes)
        with suppress(DomainError, PynamoDBException, VerboseClientError):
            act.do(admin, targets[-1])
        intercept(None)
        outcomes.add(bool(act.has_happened(targets[-1])))

    assert [len(act.entries(target)) for target in targets] == [int(act.has_happened(target)) for target in targets]


@pytest.mark.parametrize("is_before", [True, False], ids=["before", "after"])
@EACH_ACT
def test_killed_process_leaves_act_and_entry_or_neither(
    act: Act, admin: Caller, intercept: Callable[[Intercept | None], None], is_before: bool
) -> None:
    outcomes = set()
    for deadly in count(1):
        target, calls = act.prepare(), count(1)

        def die(carry_out: Callable[[], Any], _: dict[str, Any]) -> Any:
            is_deadly = next(calls) == deadly  # noqa: B023  called at once
            if is_deadly and is_before:
                raise ProcessDied
            response = carry_out()
            if is_deadly:
                raise ProcessDied
            return response

        intercept(die)
        with suppress(ProcessDied):
            act.do(admin, target)
        intercept(None)
        has_happened = act.has_happened(target)
        assert len(act.entries(target)) == has_happened
        outcomes.add(has_happened)
        if next(calls) <= deadly:  # it made fewer calls
            break
    assert outcomes == {True, False}
