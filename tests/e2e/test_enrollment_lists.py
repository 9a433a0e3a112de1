import pytest

from tests.clients import Actor, Api, register
from tests.e2e.apis import EACH_API

pytestmark = pytest.mark.contract


@EACH_API
def test_students_list_own_and_staff_lists_all(teacher: Actor, student: Actor, admin: Actor, api: Api) -> None:
    other = Actor(api, token=register(api, "student").token)
    course = teacher.create_course()
    mine, theirs = student.enroll_in(course), other.enroll_in(course)

    assert student.get("/enrollments/").json()["results"] == [mine]
    assert student.get(f"/enrollments/?student={theirs['student']}").json()["results"] == []
    assert student.get(f"/enrollments/?course={course['id']}").json()["results"] == [mine]
    for staff in (teacher, admin):
        assert staff.get(f"/enrollments/?course={course['id']}").json()["results"] == [theirs, mine]
        assert staff.get(f"/enrollments/?student={mine['student']}").json()["results"] == [mine]
        pair = f"/enrollments/?student={mine['student']}&course={course['id']}"
        assert staff.get(pair).json()["results"] == [mine]
        assert staff.get("/enrollments/").json()["results"][:2] == [theirs, mine]
        assert staff.get("/enrollments/?course=nope").json()["results"] == []


@EACH_API
def test_enrollments_of_a_course_are_newest_first(teacher: Actor, api: Api) -> None:
    course = teacher.create_course()
    made = [Actor(api, token=register(api, "student").token).enroll_in(course) for _ in range(5)]

    seen, url = [], f"/enrollments/?course={course['id']}&limit=2"
    while url:
        page = teacher.get(url).json()
        seen += page["results"]
        url = page["next"]

    assert seen == made[::-1]


@EACH_API
def test_student_withdraws_and_enrolls_again(teacher: Actor, student: Actor, api: Api) -> None:
    course = teacher.create_course()
    first = student.enroll_in(course)

    assert student.call("DELETE", f"/enrollments/{first['id']}/").status_code == 204
    again = student.enroll_in(course)

    assert again["id"] != first["id"]
    assert student.call("DELETE", f"/enrollments/{first['id']}/").status_code == 404
    assert student.get("/enrollments/").json()["results"] == [again]


def test_enrollment_can_be_deleted_by_student_and_admin(
    teacher: Actor, student: Actor, admin: Actor, gateway: Api
) -> None:
    other = register(gateway, "student")
    path = f"/enrollments/{student.enroll_in(teacher.create_course())['id']}/"

    assert other.call("DELETE", path).status_code == 404
    assert teacher.call("DELETE", path).status_code == 403
    assert Actor(gateway).call("DELETE", path).status_code == 401
    assert admin.call("DELETE", path).status_code == 204
    assert admin.call("DELETE", path).status_code == 404
    assert admin.call("DELETE", "/enrollments/nope/").status_code == 404
