"""/enrollments in this process."""

from chalicelib.core.roles import Role
from tests.factories import create_course, create_user
from tests.unit.handlers.conftest import ApiClient


def test_student_enrolls_lists_and_withdraws(http: ApiClient) -> None:
    student, course = create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR))

    created = http.call("POST", "/enrollments/", student, {"course": course.id})
    listed = http.call("GET", "/enrollments/", student).json["results"]
    deleted = http.call("DELETE", f"/enrollments/{created.json['id']}/", student)

    assert created.status == 201
    assert [row["id"] for row in listed] == [created.json["id"]]
    assert deleted.status == 204
    assert http.call("GET", "/enrollments/", student).json["results"] == []


def test_second_enrollment_is_rejected(http: ApiClient) -> None:
    student, course = create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR))
    http.call("POST", "/enrollments/", student, {"course": course.id})

    assert http.call("POST", "/enrollments/", student, {"course": course.id}).status == 409


def test_enrollment_in_a_draft_is_rejected(http: ApiClient) -> None:
    draft = create_course(create_user(Role.INSTRUCTOR), is_published=False)

    assert http.call("POST", "/enrollments/", create_user(Role.STUDENT), {"course": draft.id}).status == 400


def test_instructor_does_not_enroll(http: ApiClient) -> None:
    instructor = create_user(Role.INSTRUCTOR)
    course = create_course(instructor)

    assert http.call("POST", "/enrollments/", instructor, {"course": course.id}).status == 403


def test_students_see_own_and_admins_all_enrollments(http: ApiClient) -> None:
    course, other = (create_course(create_user(Role.INSTRUCTOR)) for _ in range(2))
    ada, emilie, admin = create_user(Role.STUDENT), create_user(Role.STUDENT), create_user(Role.ADMIN)
    for student in (ada, emilie):
        http.call("POST", "/enrollments/", student, {"course": course.id})
    http.call("POST", "/enrollments/", ada, {"course": other.id})

    def count(query: str, caller: object) -> int:
        return len(http.call("GET", f"/enrollments/{query}", caller).json["results"])  # type: ignore[arg-type]

    assert [count("", caller) for caller in (ada, emilie, admin)] == [2, 1, 3]
    assert count(f"?course={course.id}", admin) == 2
    assert count(f"?student={ada.id}", admin) == 2
    assert count(f"?student={ada.id}&course={course.id}", admin) == 1
    assert count(f"?course={other.id}", emilie) == 0


def test_enrollment_of_another_student_is_not_deleted(http: ApiClient) -> None:
    course, ada = create_course(create_user(Role.INSTRUCTOR)), create_user(Role.STUDENT)
    enrollment = http.call("POST", "/enrollments/", ada, {"course": course.id}).json
    url = f"/enrollments/{enrollment['id']}/"

    assert http.call("DELETE", url, create_user(Role.STUDENT)).status == 404
    assert http.call("DELETE", url, create_user(Role.ADMIN)).status == 204
