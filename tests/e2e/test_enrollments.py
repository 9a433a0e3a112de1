import pytest

from tests.clients import Actor
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack
from tests.waiting import eventually

pytestmark = pytest.mark.contract


@EACH_API
def test_enrolled_student_gets_one_email(teacher: Actor, student: Actor, stack: RunningStack) -> None:
    course = teacher.create_course(title="Knots <and> links")
    me = student.get("/auth/me/").json()

    enrolled = student.post("/enrollments/", {"course": course["id"], "student": "another student"})
    [mail] = eventually(lambda: stack.emails(me["email"], "You are enrolled"))

    enrollment = enrolled.json()
    assert enrolled.status_code == 201
    assert set(enrollment) == {"id", "student", "course", "created_at"}
    assert (enrollment["student"], enrollment["course"]) == (me["id"], course["id"])
    assert mail["Subject"] == "You are enrolled in Knots <and> links"
    assert student.username in mail["BodyText"].replace("[.]", ".")  # which makes no link of a username
    assert "Knots <and> links" in mail["BodyText"]
    assert "Knots &lt;and&gt; links" in mail["BodyHtml"]


@EACH_API
def test_second_enrollment_of_a_student_is_409(teacher: Actor, student: Actor) -> None:
    course = teacher.create_course()
    student.enroll_in(course)

    assert student.post("/enrollments/", {"course": course["id"]}).status_code == 409


@EACH_API
def test_enrolling_in_drafts_or_unknown_courses_is_rejected(teacher: Actor, student: Actor) -> None:
    draft = teacher.create_course(is_published=False)

    for course_id in (draft["id"], "0000000000000000", "nope"):
        response = student.post("/enrollments/", {"course": course_id})
        assert response.status_code == 400
        assert [error["field"] for error in response.json()["errors"]] == ["course"]


@EACH_API
def test_enrollment_outside_of_its_window_is_409(teacher: Actor, student: Actor) -> None:
    past, future = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
    course = teacher.create_course(opens_at=future)
    body = {"course": course["id"]}

    for window, code in (({}, "not_open"), ({"opens_at": None, "closes_at": past}, "closed")):
        assert teacher.call("PATCH", f"/courses/{course['id']}/", json=window).status_code == 200
        response = student.post("/enrollments/", body)
        assert response.status_code == 409
        assert [(error["field"], error["code"]) for error in response.json()["errors"]] == [("course", code)]

    moved = {"opens_at": past, "closes_at": future}
    assert teacher.call("PATCH", f"/courses/{course['id']}/", json=moved).status_code == 200
    assert student.post("/enrollments/", body).status_code == 201


def test_only_students_can_enroll(teacher: Actor, admin: Actor) -> None:
    course = teacher.create_course()

    assert teacher.post("/enrollments/", {"course": course["id"]}).status_code == 403
    assert admin.post("/enrollments/", {"course": course["id"]}).status_code == 403


def test_repeated_message_sends_no_second_email(teacher: Actor, student: Actor, stack: RunningStack) -> None:
    enrollment = student.enroll_in(teacher.create_course())
    address = student.get("/auth/me/").json()["email"]
    eventually(lambda: stack.emails(address, "You are enrolled"))

    for _ in range(3):
        stack.send_message("emails", {"kind": "enrollment", "id": enrollment["id"], "request_id": "again"})
    stack.send_message("emails", {"kind": "enrollment", "id": "unknown", "request_id": "the last one"})

    eventually(lambda: stack.has_logged('"request_id": "the last one"'))
    assert len(stack.emails(address, "You are enrolled")) == 1


def test_only_failed_messages_of_a_batch_are_redelivered(stack: RunningStack) -> None:
    assert stack.has_batch_item_failures()
