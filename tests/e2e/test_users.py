from concurrent.futures import ThreadPoolExecutor

import pytest
from requests import Response

from tests.clients import PASSWORD, Actor, Api, log_in, register, unique
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack

pytestmark = pytest.mark.contract


@pytest.fixture
def someone(api: Api) -> Actor:
    """A student without data of other tests."""
    return register(api, "student")


def test_user_routes_are_for_admins(teacher: Actor, student: Actor, gateway: Api) -> None:
    for path in ("/users/", "/users/0000000000000000/", "/reports/daily/", "/audit/"):
        assert teacher.get(path).status_code == student.get(path).status_code == 403
        assert Actor(gateway).get(path).status_code == 401


@EACH_API
def test_admin_lists_and_updates_users(admin: Actor, someone: Actor, api: Api) -> None:
    me = someone.get("/auth/me/").json()
    path = f"/users/{me['id']}/"

    assert admin.get(path).json() == me | {"is_active": True}
    assert me | {"is_active": True} in admin.get("/users/").json()["results"]
    changed = admin.call("PATCH", path, json={"role": "instructor", "username": "ignored"})
    assert changed.json() == me | {"is_active": True, "role": "instructor"}
    assert log_in(api, someone.username).post("/courses/", {"title": "Promoted"}).status_code == 201
    assert admin.call("PATCH", path, json={"role": "headmaster"}).status_code == 400
    assert admin.call("PATCH", "/users/nope/", json={}).status_code == 404


@EACH_API
def test_users_are_newest_first(admin: Actor, api: Api) -> None:
    names = [register(api, role).username for role in ("student", "instructor", "student", "instructor")]

    first = admin.get("/users/?limit=3").json()
    second = admin.get(first["next"]).json()

    seen = [user["username"] for user in first["results"] + second["results"]]
    assert seen[:4] == names[::-1]
    assert admin.get(second["previous"]).json()["results"] == first["results"]


@EACH_API
def test_deactivated_user_cannot_log_in(admin: Actor, someone: Actor, anonymous: Actor, api: Api) -> None:
    tokens = anonymous.post("/auth/login/", {"username": someone.username, "password": PASSWORD}).json()
    path = f"/users/{someone.get('/auth/me/').json()['id']}/"

    admin.call("PATCH", path, json={"is_active": False})

    assert anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
    assert anonymous.post("/auth/login/", {"username": someone.username, "password": PASSWORD}).status_code == 401
    admin.call("PATCH", path, json={"is_active": True})
    assert anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
    assert log_in(api, someone.username).get("/auth/me/").status_code == 200


@EACH_API
def test_changed_email_releases_the_old_one(someone: Actor, anonymous: Actor, api: Api) -> None:
    other = register(api, "student")
    new = f"{unique('new')}@example.org"

    changed = someone.call("PATCH", "/auth/me/", json={"email": new.upper(), "username": "ignored", "role": "admin"})

    assert changed.json() == someone.get("/auth/me/").json()
    assert (changed.json()["email"], changed.json()["role"]) == (new, "student")
    assert log_in(api, new).get("/auth/me/").json()["username"] == someone.username
    assert other.call("PATCH", "/auth/me/", json={"email": new}).status_code == 409
    assert someone.call("PATCH", "/auth/me/", json={"email": new}).status_code == 200
    assert someone.call("PATCH", "/auth/me/", json={"email": "nothing"}).status_code == 400
    old = f"{someone.username}@example.org"
    assert other.call("PATCH", "/auth/me/", json={"email": old}).status_code == 200


@EACH_API
def test_refresh_token_reuse_revokes_the_session(someone: Actor, anonymous: Actor) -> None:
    first = anonymous.post("/auth/login/", {"username": someone.username, "password": PASSWORD}).json()

    def refresh(token: str) -> Response:
        return anonymous.post("/auth/refresh/", {"refresh": token})

    second, repeated = refresh(first["refresh"]), refresh(first["refresh"])
    third = refresh(second.json()["refresh"])
    reused, fourth = refresh(first["refresh"]), refresh(third.json()["refresh"])

    statuses = [response.status_code for response in (second, repeated, third, reused, fourth)]
    assert statuses == [200, 200, 200, 401, 401]
    assert second.json()["refresh"] == repeated.json()["refresh"]
    assert set(second.json()) == {"access", "refresh"}
    assert anonymous.post("/auth/refresh/", {"refresh": first["access"]}).status_code == 401
    assert anonymous.post("/auth/refresh/", {"refresh": "nonsense"}).status_code == 401
    assert anonymous.post("/auth/refresh/", {}).status_code == 400


@EACH_API
def test_logout_revokes_its_own_session_only(someone: Actor, anonymous: Actor) -> None:
    login = {"username": someone.username, "password": PASSWORD}
    first, second = (anonymous.post("/auth/login/", login).json() for _ in range(2))

    left = anonymous.post("/auth/logout/", {"refresh": first["refresh"]})

    assert (left.status_code, left.text) == (204, "")
    assert anonymous.post("/auth/refresh/", {"refresh": first["refresh"]}).status_code == 401
    assert anonymous.post("/auth/refresh/", {"refresh": second["refresh"]}).status_code == 200


@EACH_API
def test_password_change_revokes_all_sessions(someone: Actor, anonymous: Actor, api: Api) -> None:
    tokens = anonymous.post("/auth/login/", {"username": someone.username, "password": PASSWORD}).json()
    new = "jackdaws love my big sphinx"

    wrong = someone.post("/auth/password/", {"current": "not it", "new": new})
    weak = someone.post("/auth/password/", {"current": PASSWORD, "new": "12345678"})
    changed = someone.post("/auth/password/", {"current": PASSWORD, "new": new})

    assert [error["field"] for error in wrong.json()["errors"]] == ["current"]
    assert {error["field"] for error in weak.json()["errors"]} == {"new"}
    assert [wrong.status_code, weak.status_code, changed.status_code] == [400, 400, 204]
    assert anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
    assert anonymous.post("/auth/login/", {"username": someone.username, "password": PASSWORD}).status_code == 401
    assert log_in(api, someone.username, new).get("/auth/me/").status_code == 200


@EACH_API
def test_export_has_all_personal_data(teacher: Actor, someone: Actor, api: Api) -> None:
    enrollment = someone.enroll_in(teacher.create_course())
    me = someone.get("/auth/me/").json()
    notifications = someone.call("PATCH", "/auth/me/notifications/", json={"reports": False}).json()

    mine, theirs = someone.get("/auth/me/export/").json(), teacher.get("/auth/me/export/").json()

    assert mine["user"] == me | {"is_active": True, "notifications": notifications}
    assert notifications["reports"] is False
    [exported] = mine["enrollments"]
    assert exported.items() >= enrollment.items()
    assert exported["request_id"]
    assert mine["known_addresses"][0]["network"] == "127.0.0.1"
    assert (mine["courses"], len(mine["sessions"])) == ([], 1)
    assert theirs["courses"]
    assert "password" not in str(mine)


@EACH_API
def test_erased_account_releases_its_identities(someone: Actor, anonymous: Actor, admin: Actor) -> None:
    me = someone.get("/auth/me/").json()
    again = {"username": me["username"], "email": me["email"], "password": PASSWORD}

    assert someone.call("DELETE", "/auth/me/").status_code == 204

    assert someone.get("/auth/me/").status_code == 401
    assert anonymous.post("/auth/login/", {"username": me["username"], "password": PASSWORD}).status_code == 401
    assert admin.get(f"/users/{me['id']}/").status_code == 404
    assert me["id"] not in [user["id"] for user in admin.get("/users/").json()["results"]]
    assert anonymous.post("/auth/register/", again).status_code == 201


@EACH_API
def test_owner_of_published_courses_cannot_be_erased(api: Api, admin: Actor) -> None:
    owner = register(api, "instructor")
    course = owner.create_course()
    path = f"/users/{owner.get('/auth/me/').json()['id']}/"

    assert owner.call("DELETE", "/auth/me/").status_code == 409
    assert admin.call("DELETE", path).status_code == 409
    owner.call("PATCH", f"/courses/{course['id']}/", json={"is_published": False})
    assert admin.call("DELETE", path).status_code == 204
    assert owner.post("/courses/", {"title": "From beyond"}).status_code == 401


def test_last_active_admin_stays(stack: RunningStack, gateway: Api) -> None:
    admins = []
    for _ in range(2):
        name = unique("admin")
        assert stack.manage("create-admin", name, f"{name}@example.org", EDUFLOW_PASSWORD=PASSWORD).returncode == 0
        admins.append(log_in(gateway, name))
    ids = [admin.get("/auth/me/").json()["id"] for admin in admins]
    others = [user["id"] for user in _all_admins(admins[0]) if user["id"] not in ids]
    for other in others:
        assert admins[0].call("PATCH", f"/users/{other}/", json={"is_active": False}).status_code == 200
    try:
        with ThreadPoolExecutor(2) as pool:
            demoted = pool.map(
                lambda pair: pair[0].call("PATCH", f"/users/{pair[1]}/", json={"role": "student"}).status_code,
                zip(admins, ids[::-1], strict=True),
            )
            # Met as the last one (409), or no admin any more when it was their turn (401).
            assert sorted(demoted) in ([200, 409], [200, 401])
        [left] = [admin for admin in admins if log_in(gateway, admin.username).get("/users/").status_code == 200]
        for attempt in ({"role": "student"}, {"is_active": False}):
            assert left.call("PATCH", f"/users/{_id(left)}/", json=attempt).status_code == 409
        assert left.call("DELETE", f"/users/{_id(left)}/").status_code == 409
        assert left.call("DELETE", "/auth/me/").status_code == 409
    finally:
        for other in others:
            left.call("PATCH", f"/users/{other}/", json={"is_active": True})


def _id(actor: Actor) -> str:
    return str(actor.get("/auth/me/").json()["id"])


def _all_admins(admin: Actor) -> list[dict[str, str]]:
    found, url = [], "/users/?limit=100"
    while url:
        response = admin.get(url)
        assert response.status_code == 200, response.text
        page = response.json()
        found += [user for user in page["results"] if user["role"] == "admin" and user["is_active"]]
        url = page["next"]
    return found


@EACH_API
def test_daily_reports(admin: Actor, api: Api) -> None:
    every = admin.get("/reports/daily/?limit=100").json()["results"]
    dates = [report["date"] for report in every]

    assert set(every[0]) == {
        "date", "courses", "published_courses", "users", "enrollments", "new_enrollments", "new_users",
    }  # fmt: skip
    assert dates == sorted(dates, reverse=True)
    some = admin.get(f"/reports/daily/?from={dates[5]}&to={dates[2]}&limit=3").json()
    rest = admin.get(some["next"]).json()
    assert some["results"] + rest["results"] == every[2:6]
    assert rest["next"] is None
    assert admin.get(rest["previous"]).json()["results"] == some["results"]
    assert admin.get("/reports/daily/?from=yesterday").json()["errors"][0]["field"] == "from"
