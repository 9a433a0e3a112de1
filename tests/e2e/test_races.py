"""Many clients at once, through the gateway."""

from collections import Counter

from requests import Response

from tests.clients import PASSWORD, Actor, Api, call_concurrently, register, unique

CLIENTS = 24


def statuses(responses: list[Response]) -> Counter[int]:
    return Counter(response.status_code for response in responses)


def test_one_of_concurrent_registrations_succeeds(gateway: Api) -> None:
    anonymous, name = Actor(gateway), unique("ada")

    def register(number: int) -> Response:
        mine = {"username": name.upper() if number % 2 else name, "email": f"{unique('a')}@example.org"}
        if number >= CLIENTS // 2:
            mine = {"username": unique("ada"), "email": f"{name}@example.org"}
        return anonymous.post("/auth/register/", mine | {"password": PASSWORD})

    responses = call_concurrently(register, CLIENTS)

    for half in (responses[: CLIENTS // 2], responses[CLIENTS // 2 :]):
        assert statuses(half) == {201: 1, 409: CLIENTS // 2 - 1}


def test_one_of_concurrent_enrollments_of_a_student_wins(teacher: Actor, student: Actor, gateway: Api) -> None:
    course = teacher.create_course()

    responses = call_concurrently(lambda _: student.post("/enrollments/", {"course": course["id"]}), CLIENTS)

    assert statuses(responses) == {201: 1, 409: CLIENTS - 1}
    assert len(student.get("/enrollments/").json()["results"]) == 1


def test_concurrent_course_updates_lose_nothing(teacher: Actor, gateway: Api) -> None:
    course = teacher.create_course()
    path = f"/courses/{course['id']}/"
    fields = [("title", "New title"), ("description", "New description"), ("price", "7.00")]

    responses = call_concurrently(lambda number: teacher.call("PATCH", path, json=dict([fields[number % 3]])), 21)

    assert statuses(responses) == {200: 21}
    assert teacher.get(path).json() == course | dict(fields) | {"updated_at": teacher.get(path).json()["updated_at"]}


def test_one_of_concurrent_if_match_updates_succeeds(teacher: Actor, gateway: Api) -> None:
    path = f"/courses/{teacher.create_course()['id']}/"
    match = {"If-Match": teacher.get(path).headers["ETag"]}

    responses = call_concurrently(
        lambda n: teacher.call("PATCH", path, json={"title": f"Title {n}"}, headers=match), CLIENTS
    )

    assert statuses(responses) == {200: 1, 412: CLIENTS - 1}
    [winner] = [response.json() for response in responses if response.ok]
    assert teacher.get(path).json() == winner


def test_concurrent_lessons_count_in_their_course(teacher: Actor, gateway: Api) -> None:
    course = teacher.create_course()

    made = call_concurrently(
        lambda number: teacher.post("/lessons/", {"course": course["id"], "title": f"Lesson {number}"}), CLIENTS
    )
    deleted = call_concurrently(lambda number: teacher.call("DELETE", f"/lessons/{made[number].json()['id']}/"), 20)

    assert (statuses(made), statuses(deleted)) == ({201: CLIENTS}, {204: 20})
    assert teacher.get(f"/courses/{course['id']}/").json()["lessons_count"] == CLIENTS - 20
    assert len(teacher.get(f"/lessons/?course={course['id']}").json()["results"]) == CLIENTS - 20


def test_concurrent_refreshes_get_one_successor(gateway: Api) -> None:
    anonymous, student = Actor(gateway), register(gateway, "student")
    tokens = anonymous.post("/auth/login/", {"username": student.username, "password": PASSWORD}).json()

    responses = call_concurrently(lambda _: anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}), 20)

    assert statuses(responses) == {200: 20}
    [successor] = {response.json()["refresh"] for response in responses}
    assert anonymous.post("/auth/refresh/", {"refresh": successor}).status_code == 200
    assert anonymous.post("/auth/refresh/", {"refresh": tokens["refresh"]}).status_code == 401
