import pytest

from tests.clients import Actor, Api, register
from tests.e2e.apis import EACH_API

pytestmark = pytest.mark.contract


@pytest.fixture
def rival(teacher: Actor) -> Actor:
    """Another instructor."""
    return Actor(teacher.api, token=register(teacher.api, "instructor").token)


@EACH_API
def test_put_resets_omitted_fields_and_patch_keeps_them(teacher: Actor, api: Api) -> None:
    course = teacher.create_course(description="Old", price="5.00")
    path = f"/courses/{course['id']}/"

    patched = teacher.call("PATCH", path, json={"price": "6.5", "owner": "me", "id": "x", "lessons_count": 9})
    put = teacher.call("PUT", path, json={"title": "Another title"})

    assert patched.status_code == put.status_code == 200
    assert patched.json() == course | {"price": "6.50", "updated_at": patched.json()["updated_at"]}
    assert put.json() == course | {
        "title": "Another title",
        "description": "",
        "price": "0.00",
        "is_published": False,
        "updated_at": put.json()["updated_at"],
    }
    assert teacher.get(path).json() == put.json()


@EACH_API
def test_invalid_update_changes_nothing(teacher: Actor, api: Api) -> None:
    course = teacher.create_course()
    path = f"/courses/{course['id']}/"

    assert teacher.call("PUT", path, json={"description": "no title"}).status_code == 400
    assert teacher.call("PATCH", path, json={"description": "fine", "title": "ab"}).status_code == 400
    assert teacher.call("PATCH", path, json={"title": None}).status_code == 400
    assert teacher.get(path).json() == course


@EACH_API
def test_only_owner_and_admins_can_update(teacher: Actor, rival: Actor, student: Actor, admin: Actor, api: Api) -> None:
    course, draft = teacher.create_course(), teacher.create_course(is_published=False)
    body = {"title": "Mine now"}

    for other in (rival, student):
        for method in ("PUT", "PATCH", "DELETE"):
            assert other.call(method, f"/courses/{course['id']}/", json=body).status_code == 403
            assert other.call(method, f"/courses/{draft['id']}/", json=body).status_code == 404
    assert Actor(api).call("PATCH", f"/courses/{course['id']}/", json=body).status_code == 401
    assert teacher.get(f"/courses/{course['id']}/").json() == course
    changed = admin.call("PATCH", f"/courses/{course['id']}/", json=body).json()
    assert (changed["title"], changed["owner"]) == ("Mine now", teacher.username)


@EACH_API
def test_write_is_visible_to_all_reads(teacher: Actor, anonymous: Actor, api: Api) -> None:
    course = teacher.create_course()
    path = f"/courses/{course['id']}/"

    teacher.call("PATCH", path, json={"title": "Renamed"})
    assert anonymous.get(path).json()["title"] == "Renamed"
    assert anonymous.get("/courses/").json()["results"][0]["title"] == "Renamed"
    teacher.call("PATCH", path, json={"is_published": False})
    assert anonymous.get(path).status_code == 404
    assert course["id"] not in [one["id"] for one in anonymous.get("/courses/").json()["results"]]
    teacher.call("PATCH", path, json={"is_published": True})
    assert anonymous.get(path).status_code == 200
    assert teacher.call("DELETE", path).status_code == 204
    assert [actor.get(path).status_code for actor in (anonymous, teacher)] == [404, 404]
    assert course["id"] not in [one["id"] for one in teacher.get("/courses/?owner=me").json()["results"]]


@EACH_API
def test_etags(teacher: Actor, anonymous: Actor, api: Api) -> None:
    path = f"/courses/{teacher.create_course()['id']}/"
    read = anonymous.get(path)
    tag = read.headers["ETag"]

    unchanged = anonymous.get(path, headers={"If-None-Match": f'"x", W/{tag}'})
    written = teacher.call("PATCH", path, json={"title": "Second"}, headers={"If-Match": tag})
    stale = [
        teacher.call(method, path, json={"title": "Third"}, headers={"If-Match": match})
        for method in ("PUT", "PATCH", "DELETE")
        for match in (tag, f"W/{written.headers['ETag']}", '"x"')
    ]
    after = anonymous.get(path, headers={"If-None-Match": tag})

    assert (unchanged.status_code, unchanged.text, unchanged.headers["ETag"]) == (304, "", tag)
    assert written.status_code == 200
    assert {response.status_code for response in stale} == {412}
    assert (after.status_code, after.json()["title"]) == (200, "Second")
    assert after.headers["ETag"] == written.headers["ETag"] != tag
    assert teacher.call("DELETE", path, headers={"If-Match": "*"}).status_code == 204


@EACH_API
def test_new_lesson_changes_the_etag_of_its_course(teacher: Actor, api: Api) -> None:
    course = teacher.create_course()
    path = f"/courses/{course['id']}/"
    tag = teacher.get(path).headers["ETag"]

    teacher.post("/lessons/", {"course": course["id"], "title": "First"})

    after = teacher.get(path, headers={"If-None-Match": tag})
    assert (after.status_code, after.json()["lessons_count"]) == (200, 1)


@EACH_API
def test_search(teacher: Actor, anonymous: Actor, api: Api) -> None:
    word = f"w{api.url[-4:]}{teacher.create_course()['id']}"
    knots = teacher.create_course(title=f"Knöts {word}", description="Links and braids")
    braids = teacher.create_course(title=f"Braids {word.upper()}")
    teacher.create_course(title=f"Secret {word}", is_published=False)

    def found(text: str, path: str = "/courses/") -> list[str]:
        return [course["id"] for course in anonymous.get(path, params={"search": text}).json()["results"]]

    assert found(word) == found(word, "/courses-public/") == [braids["id"], knots["id"]]
    assert found(f"BRAIDS {word}") == [braids["id"], knots["id"]]
    assert found(f"knots links {word}") == [knots["id"]]
    assert found(word[:-1]) == []
    assert teacher.get("/courses/", params={"search": word, "owner": "me"}).status_code == 400
    assert anonymous.get("/courses/", params={"search": word, "ordering": "price"}).status_code == 400
    assert anonymous.get("/courses/", params={"search": word, "ordering": "-created_at"}).status_code == 200
    page = anonymous.get("/courses/", params={"search": word, "limit": 1}).json()
    assert [course["id"] for course in anonymous.get(page["next"]).json()["results"]] == [knots["id"]]


@EACH_API
def test_public_list_is_the_same_for_all_callers(teacher: Actor, admin: Actor, anonymous: Actor, api: Api) -> None:
    teacher.create_course(is_published=False)

    lists = [actor.get("/courses-public/").json() for actor in (anonymous, teacher, admin)]
    bad_token = Actor(api, token="no.such.token").get("/courses-public/")

    assert lists[0] == lists[1] == lists[2]
    assert all(course["is_published"] for course in lists[0]["results"])
    assert bad_token.status_code == 200
