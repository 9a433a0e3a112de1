"""`manage.py rotate-keys` during requests."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import jwt
import pytest

from chalicelib.security.signing_keys import ACTIVATION_DELAY_SECONDS
from tests.clients import PASSWORD, Actor, Api, register
from tests.stack import RunningStack

CLIENTS = 8


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


def test_key_rotation_keeps_sessions(stack: RunningStack, gateway: Api) -> None:
    student = register(gateway, "student")
    before = stack.signing_keys()

    first, second = stack.manage("rotate-keys"), stack.manage("rotate-keys")

    assert (first.returncode, second.returncode) == (0, 1)
    [new] = stack.signing_keys().keys() - before.keys()
    assert new in first.stdout
    assert new in second.stderr
    assert stack.signing_keys()[new] not in first.stdout + first.stderr
    assert student.get("/auth/me/").status_code == 200
    listed = [json.loads(line) for line in stack.manage("audit", "--subject", "signing-keys").stdout.splitlines()]
    assert [entry["action"] for entry in listed[:2]] == ["keys.rotated", "keys.rotation_started"]
    assert {entry["changes"]["key_id"][1] for entry in listed[:2]} == {new}
    assert len({entry["request_id"] for entry in listed[:2]}) == 1


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_key_rotation_under_load_fails_no_request(own_copy: RunningStack) -> None:
    """Rotation with the real delay: a new key signs six minutes after it is published."""
    own_copy.start()
    try:
        kept = [_logs_in(own_copy.api) for _ in range(CLIENTS)]  # to be refreshed at the very end
        ends = time.monotonic() + ACTIVATION_DELAY_SECONDS + 90

        with ThreadPoolExecutor(CLIENTS) as pool:
            working = [pool.submit(_works, own_copy.api, ends) for _ in range(CLIENTS)]
            rotated = own_copy.manage("rotate-keys")
            results = [future.result() for future in working]

        statuses = sum((found for found, _ in results), Counter[int]())
        last_kids = {kid for _, kid in results}
        assert rotated.returncode == 0, rotated.stderr
        assert set(statuses) == {200}, statuses
        assert last_kids == {max(own_copy.signing_keys())}
        for tokens in kept:
            assert kid_of(tokens["refresh"]) != max(own_copy.signing_keys())
            assert Actor(own_copy.api).post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 200
        print(f"\n{sum(statuses.values())} requests, all 200, while the key changed")
    finally:
        assert own_copy.stop() == 0


def _logs_in(api: Api) -> dict[str, str]:
    name = register(api, "student").username
    tokens: dict[str, str] = Actor(api).post("/auth/login/", {"username": name, "password": PASSWORD}).json()
    return tokens


def _works(api: Api, ends: float) -> tuple[Counter[int], str]:
    """Read, paginate and refresh until the end; return the statuses and the key ID of the last token."""
    tokens, statuses = _logs_in(api), Counter[int]()
    url = "/courses/?limit=2"
    while time.monotonic() < ends:
        actor = Actor(api, token=tokens["access"])
        refreshed = actor.post("/auth/refresh/", {"refresh": tokens["refresh"]})
        page = actor.get(url)
        responses = [refreshed, page, actor.get("/auth/me/"), actor.get("/enrollments/")]
        statuses.update(response.status_code for response in responses)
        if refreshed.ok:
            tokens = refreshed.json()
        if page.ok:
            url = page.json()["next"] or "/courses/?limit=2"
        time.sleep(0.05)
    return statuses, kid_of(tokens["access"])
