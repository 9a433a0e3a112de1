"""The end of a session: its access token can no longer read or change the account."""

import pytest

from tests.clients import PASSWORD, Actor, Api, register, unique
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack

pytestmark = pytest.mark.contract

NEW_PASSWORD = "jackdaws love my big sphinx"
ENDINGS = ["logout", "replay", "password", "deactivation", "role", "erasure"]


def _end(ending: str, someone: Actor, tokens: dict[str, str], admin: Actor) -> None:
    anonymous = Actor(someone.api)
    user = f"/users/{someone.get('/auth/me/').json()['id']}/"
    match ending:
        case "logout":
            response = anonymous.post("/auth/logout/", {"refresh": tokens["refresh"]})
        case "replay":
            first = anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).json()
            response = anonymous.post("/auth/refresh/", {"refresh": first["refresh"]})
            assert anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
            tokens |= {"refresh": response.json()["refresh"]}
        case "password":
            response = someone.post("/auth/password/", {"current": PASSWORD, "new": NEW_PASSWORD})
        case "deactivation":
            response = admin.call("PATCH", user, json={"is_active": False})
        case "role":
            response = admin.call("PATCH", user, json={"role": "instructor"})
        case _:
            response = someone.call("DELETE", "/auth/me/")
    assert response.ok, response.text


@pytest.mark.parametrize("ending", ENDINGS)
@EACH_API
def test_session_is_revoked(api: Api, admin: Actor, ending: str) -> None:
    username = register(api, "student").username
    tokens = Actor(api).post("/auth/login/", {"username": username, "password": PASSWORD}).json()
    someone = Actor(api, username, tokens["access"])

    _end(ending, someone, tokens, admin)

    assert Actor(api).post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
    for method, path, body in (
        ("GET", "/auth/me/", None),
        ("PATCH", "/auth/me/", {"email": f"{unique('thief')}@example.org"}),
        ("GET", "/auth/me/export/", None),
        ("POST", "/auth/password/", {"current": PASSWORD, "new": NEW_PASSWORD}),
        ("DELETE", "/auth/me/", None),
    ):
        assert someone.call(method, path, json=body).status_code == 401, (method, path)
    # Within the bound that the README states, the token still opens what holds no account.
    assert someone.get("/courses/").status_code == 200


def test_demoted_admin_cannot_regain_the_role(stack: RunningStack, admin: Actor, gateway: Api) -> None:
    name = unique("admin")
    assert stack.manage("create-admin", name, f"{name}@example.org", EDUFLOW_PASSWORD=PASSWORD).returncode == 0
    tokens = Actor(gateway).post("/auth/login/", {"username": name, "password": PASSWORD}).json()
    demoted = Actor(gateway, name, tokens["access"])
    me = f"/users/{demoted.get('/auth/me/').json()['id']}/"

    assert admin.call("PATCH", me, json={"role": "student"}).status_code == 200

    assert demoted.call("PATCH", me, json={"role": "admin"}).status_code == 401
    assert demoted.get("/users/").status_code == demoted.get(me).status_code == 401
    assert demoted.call("DELETE", me).status_code == 401
