"""Concurrent logins through the gateway. The unit tests have the details of the throttling."""

import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests import Response
from requests.adapters import HTTPAdapter

from tests.clients import PASSWORD, Actor, Api, call_concurrently, register, unique
from tests.stack import RunningStack


@pytest.fixture(autouse=True)
def _fresh(stack: RunningStack) -> Iterator[None]:
    """Reset throttling, so that tests do not affect each other."""
    stack.reset_throttling()
    yield
    stack.reset_throttling()


def statuses(responses: list[Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def test_ten_of_1000_concurrent_guesses_are_verified(gateway: Api, stack: RunningStack) -> None:
    student, anonymous = register(gateway, "student"), Actor(gateway)

    def guess(number: int) -> Response:
        password = PASSWORD if number == 999 else f"guess number {number}"
        return anonymous.post("/auth/login/", {"username": student.username, "password": password})

    responses = call_concurrently(guess, 1000)

    found = statuses(responses)
    assert found[200] <= 1  # the good one, if it was among the first
    assert found == {401: 10, 429: 990 - found[200]} | ({200: 1} if found[200] else {})
    for response in responses:
        if response.status_code == 429:
            assert 1 <= int(response.headers.get("Retry-After", 0)) <= 900, (response.headers, response.text)
            assert response.json()["status"] == 429
    good = {"username": student.username, "password": PASSWORD}
    assert anonymous.post("/auth/login/", good).status_code == 429
    assert student.get("/auth/me/").status_code == 200  # who is logged in stays so
    stack.reset_throttling()
    assert anonymous.post("/auth/login/", good).status_code == 200


def test_300_guesses_from_one_address_are_verified(gateway: Api) -> None:
    anonymous, word = Actor(gateway), unique("x")

    responses = call_concurrently(
        lambda n: anonymous.post("/auth/login/", {"username": f"{word}.{n}", "password": "guess"}), 400
    )

    assert statuses(responses) == {401: 300, 429: 100}


def test_forwarded_for_header_is_ignored(gateway: Api) -> None:
    student = register(gateway, "student")
    wrong = {"username": student.username, "password": "wrong"}

    def guess(number: int) -> int:
        claimed = {"X-Forwarded-For": f"192.0.2.{number}", "Forwarded": f"for=192.0.2.{number}"}
        return gateway.call("POST", "/auth/login/", json=wrong, headers=claimed).status_code

    assert [guess(number) for number in range(12)] == [401] * 10 + [429] * 2


def test_concurrent_logins_of_one_student_succeed_or_wait(gateway: Api) -> None:
    student, anonymous = register(gateway, "student"), Actor(gateway)
    good = {"username": student.username, "password": PASSWORD}

    responses = call_concurrently(lambda _: anonymous.post("/auth/login/", good), 40)

    found = statuses(responses)
    assert found[200] >= 10
    assert found[200] + found[429] == 40, found
    assert {response.headers["Retry-After"] for response in responses if response.status_code == 429} <= {"1"}
    assert anonymous.post("/auth/login/", good).status_code == 200


def _has_addresses() -> bool:
    try:
        for last in range(2, 7):
            socket.create_server((f"127.0.0.{last}", 0)).close()
    except OSError:
        return False
    return True


NEEDS_ADDRESSES = pytest.mark.skipif(
    not _has_addresses(), reason="needs 127.0.0.2 to 127.0.0.6; on macOS: sudo ifconfig lo0 alias 127.0.0.2, and so on"
)


class From(HTTPAdapter):
    """Sends requests from another address of this machine."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named, source_address=(self._address, 0))


def post_from(address: str, api: Api, path: str, body: dict[str, str]) -> Response:
    with requests.Session() as session:
        session.mount("http://", From(address))
        return session.post(f"{api.url}/api/v1{path}", json=body, timeout=30)


@NEEDS_ADDRESSES
def test_others_cannot_lock_out_a_user(gateway: Api, stack: RunningStack) -> None:
    student = register(gateway, "student")
    good = {"username": student.username, "password": PASSWORD}
    wrong = good | {"password": "wrong"}
    assert post_from("127.0.0.2", gateway, "/auth/login/", good).status_code == 200

    attack = [post_from("127.0.0.3", gateway, "/auth/login/", wrong).status_code for _ in range(12)]

    assert attack == [401] * 10 + [429] * 2
    assert post_from("127.0.0.4", gateway, "/auth/login/", good).status_code == 429
    assert post_from("127.0.0.2", gateway, "/auth/login/", good).status_code == 200
    assert "can log in again" in stack.manage("unlock", student.username).stdout
    assert post_from("127.0.0.4", gateway, "/auth/login/", good).status_code == 200


@NEEDS_ADDRESSES
def test_registrations_from_an_address_are_limited(gateway: Api, stack: RunningStack) -> None:
    limit = 100_000  # of the local stage, on which all clients have one address
    window = {
        "reserved": {"N": str(limit - 1)},
        "failed": {"N": "0"},
        "expires_at": {"N": str(int(time.time()) + 3000)},
    }
    row = {"subject": {"S": "registrations#127.0.0.5"}} | window
    stack.aws("dynamodb").put_item(TableName="eduflow-throttles-local", Item=row)

    def registers() -> Response:
        name = unique("ada")
        body = {"username": name, "email": f"{name}@example.org", "password": PASSWORD}
        return post_from("127.0.0.5", gateway, "/auth/register/", body)

    assert registers().status_code == 201
    refused = registers()
    assert refused.status_code == 429
    assert 2000 < int(refused.headers["Retry-After"]) <= 3000
    assert post_from("127.0.0.6", gateway, "/auth/register/", {}).status_code == 400
