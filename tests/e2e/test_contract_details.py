"""Details of the API's contract that have no other test."""

import re

import pytest

from tests.clients import Actor, Api
from tests.e2e.apis import EACH_API

pytestmark = pytest.mark.contract

RFC_3339_UTC = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")


@EACH_API
def test_timestamps_are_rfc_3339_in_utc(teacher: Actor, student: Actor, api: Api) -> None:
    course = teacher.create_course()
    problem = teacher.get("/courses/nope/").json()

    timestamps = [course["created_at"], course["updated_at"], student.enroll_in(course)["created_at"]]
    timestamps += [teacher.get("/auth/me/").json()["date_joined"], problem["timestamp"]]

    assert all(RFC_3339_UTC.fullmatch(timestamp) for timestamp in timestamps)


@pytest.mark.parametrize(
    "path", ["/courses/", "/courses-public/", "/lessons/", "/enrollments/", "/users/", "/reports/daily/"]
)
@EACH_API
def test_lists_have_links_and_limits(teacher: Actor, admin: Actor, api: Api, path: str) -> None:
    if path == "/lessons/":  # whatever the newest courses are
        course = teacher.create_course()
        for _ in range(3):
            teacher.post("/lessons/", {"course": course["id"], "title": "A lesson"})
    page = admin.get(path, params={"limit": 2}).json()

    assert set(page) == {"next", "previous", "results"}
    assert len(page["results"]) == 2
    assert page["previous"] is None
    assert page["next"].startswith(f"{api.url}/api/v1{path}?limit=2&cursor=")
    assert len(admin.get(path).json()["results"]) <= 20
    assert admin.get(path, params={"limit": 100}).status_code == 200
    for limit in ("0", "101", "-1", "many", ""):
        refused = admin.get(path, params={"limit": limit})
        assert [error["field"] for error in refused.json()["errors"]] == ["limit"], limit


def test_missing_token_is_401_with_www_authenticate(gateway: Api, student: Actor) -> None:
    for headers in (
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": f"Token {student.token}"},
    ):
        response = gateway.call("GET", "/enrollments/", headers=headers)
        assert response.status_code == 401, headers
        assert response.headers["WWW-Authenticate"].startswith('Bearer realm="EduFlow"'), headers


def test_authentication_scheme_ignores_case(gateway: Api, student: Actor) -> None:
    for scheme in ("bearer", "BEARER"):
        assert gateway.call("GET", "/auth/me/", headers={"Authorization": f"{scheme} {student.token}"}).ok
        assert gateway.call("GET", "/courses/", headers={"Authorization": f"{scheme} {student.token}"}).ok
