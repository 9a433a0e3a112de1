"""/courses in this process: visibility, pages, conditional requests and errors."""

import pytest

from chalicelib.core.roles import Role
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import HOST, ApiClient


def test_created_course_is_read_by_its_location(http: ApiClient) -> None:
    instructor = create_user(Role.INSTRUCTOR)

    created = http.call("POST", "/courses/", instructor, {"title": "Knots", "price": "19.99"})
    read = http.call("GET", created.headers["location"].partition(HOST)[2], instructor)

    assert (created.status, created.json["price"], created.json["is_published"]) == (201, "19.99", False)
    assert (read.status, read.json) == (200, created.json)


def test_draft_is_hidden_from_others(http: ApiClient) -> None:
    owner, other = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
    course = create_course(owner, is_published=False)

    statuses = [http.call("GET", f"/courses/{course.id}/", caller).status for caller in (None, other, owner)]

    assert statuses == [404, 404, 200]


def test_list_pages_contain_each_course_once(http: ApiClient) -> None:
    owner = create_user(Role.INSTRUCTOR)
    expected = [create_course(owner).id for _ in range(5)]

    read, url = [], "/courses/?limit=2"
    while url:
        page = http.call("GET", url).json
        read += [course["id"] for course in page["results"]]
        url = (page["next"] or "").partition(HOST)[2]

    assert sorted(read) == sorted(expected)


def test_own_courses_include_drafts(http: ApiClient) -> None:
    owner, other = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
    draft = create_course(owner, is_published=False)
    create_course(other)

    page = http.call("GET", "/courses/?owner=me", owner).json

    assert [course["id"] for course in page["results"]] == [draft.id]


def test_public_list_and_search_find_published_courses(http: ApiClient) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner, title="Knots and links")
    create_course(owner, title="Knots, a draft", is_published=False)

    for url in ("/courses-public/", "/courses/?search=knots", "/courses/?ordering=price"):
        assert [found["id"] for found in http.call("GET", url).json["results"]] == [course.id], url


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "cursor=x", "ordering=size", "search=a&owner=me"])
def test_list_rejects_invalid_query(http: ApiClient, query: str) -> None:
    response = http.call("GET", f"/courses/?{query}", create_user(Role.INSTRUCTOR))

    assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")


def test_unchanged_course_is_304(http: ApiClient) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))
    etag = http.call("GET", f"/courses/{course.id}/").headers["etag"]

    response = http.call("GET", f"/courses/{course.id}/", If_None_Match=etag)

    assert (response.status, response.body) == (304, b"")


def test_put_resets_and_patch_keeps_omitted_fields(http: ApiClient) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner, description="From the trefoil on")

    patched = http.call("PATCH", f"/courses/{course.id}/", owner, {"title": "Links"}).json
    replaced = http.call("PUT", f"/courses/{course.id}/", owner, {"title": "Links"}).json

    assert (patched["title"], patched["description"], patched["is_published"]) == ("Links", "From the trefoil on", True)
    assert (replaced["title"], replaced["description"], replaced["is_published"]) == ("Links", "", False)


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_write_with_old_etag_is_rejected(http: ApiClient, method: str) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)
    etag = http.call("GET", f"/courses/{course.id}/").headers["etag"]
    http.call("PATCH", f"/courses/{course.id}/", owner, {"title": "Links"})

    body = None if method == "DELETE" else {"title": "Lost"}
    response = http.call(method, f"/courses/{course.id}/", owner, body, If_Match=etag)

    assert response.status == 412
    assert http.call("GET", f"/courses/{course.id}/").json["title"] == "Links"


def test_deleted_course_is_not_found(http: ApiClient) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)

    assert http.call("DELETE", f"/courses/{course.id}/", owner).status == 204
    assert http.call("GET", f"/courses/{course.id}/", owner).status == 404


def test_writes_require_the_owner(http: ApiClient) -> None:
    course = create_course(create_user(Role.INSTRUCTOR))

    for role in (Role.INSTRUCTOR, Role.STUDENT):
        assert http.call("PATCH", f"/courses/{course.id}/", create_user(role), {"title": "Links"}).status == 403
    assert http.call("POST", "/courses/", create_user(Role.STUDENT), {"title": "Links"}).status == 403
    assert http.call("POST", "/courses/", body={"title": "Links"}).status == 401


def test_if_match_without_quotes_is_400(http: ApiClient) -> None:
    owner = create_user(Role.INSTRUCTOR)
    course = create_course(owner)

    response = http.call("PATCH", f"/courses/{course.id}/", owner, {"title": "Links"}, If_Match="1")

    assert (response.status, "quotes" in response.json["detail"]) == (400, True)
    assert http.call("PATCH", f"/courses/{course.id}/", owner, {"title": "Links"}, If_Match='"9", "1"').status == 200
