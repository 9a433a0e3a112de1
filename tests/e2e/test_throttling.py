"""Concurrent logins through the gateway. The unit tests have the details of the throttling."""

from collections import Counter
from collections.abc import Iterator

import pytest
from requests import Response

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
