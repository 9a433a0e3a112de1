import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ses.models import ses_backends

from chalicelib.adapters import ses
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.services import emails, enrollments
from tests.factories import create_course, create_user
from tests.unit.email_worker import send_email


@pytest.fixture
def course(aws: None) -> Course:
    return create_course(create_user(Role.INSTRUCTOR), title="Knots & links")


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT, name="ada")


@pytest.fixture
def sent_emails(monkeypatch: pytest.MonkeyPatch) -> list[ses.EmailMessage]:
    box: list[ses.EmailMessage] = []

    def send(mail: ses.EmailMessage) -> str:
        box.append(mail)
        return "id"

    monkeypatch.setattr(ses, "send", send)
    return box


def test_enrolling_stores_pending_email_and_sends_message(course: Course, student: Caller, sent: Any) -> None:
    enrollment = enrollments.enroll(student, course.id)

    [message] = sent()
    assert json.loads(message["Body"])["id"] == enrollment.id
    kept = Enrollment.find(enrollment.id)
    assert kept is not None and kept.email_pending == "0"


def test_unreachable_queue_fails_no_enrollment(
    course: Course, student: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, *_: Any, **__: Any) -> Any:
        raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "SendMessage")

    monkeypatch.setattr("chalicelib.adapters.aws.client", refuse)

    enrollment = enrollments.enroll(student, course.id)

    kept = Enrollment.find(enrollment.id)
    assert kept is not None and kept.email_pending


def test_second_enrollment_is_a_conflict(course: Course, student: Caller, sent: Any) -> None:
    first = enrollments.enroll(student, course.id)

    with pytest.raises(Conflict):
        enrollments.enroll(student, course.id)

    assert Enrollment.find(first.id) is not None
    assert len(sent()) == 1


def test_sent_email_clears_the_pending_one(
    course: Course, student: Caller, sent_emails: list[ses.EmailMessage]
) -> None:
    enrollment = enrollments.enroll(student, course.id)

    send_email(enrollment.id)
    emails.mark_sent(EmailKind.ENROLLMENT, enrollment.id)

    [mail] = sent_emails
    assert (mail.to, mail.subject) == ("ada@example.org", "You are enrolled in Knots & links")
    assert "Knots &amp; links" in mail.html
    kept = Enrollment.find(enrollment.id)
    assert kept is not None and kept.email_pending is None


def test_title_makes_no_link_and_no_line_in_an_email(student: Caller, sent_emails: list[ses.EmailMessage]) -> None:
    course = create_course(create_user(Role.INSTRUCTOR), title="Overdue\n\nPay at\nhttp://evil.example/<b>")

    send_email(enrollments.enroll(student, course.id).id)

    [mail] = sent_emails
    title = "Overdue Pay at http[:]//evil[.]example/"
    assert mail.subject == f"You are enrolled in {title}<b>"
    assert f'"{title}<b>"' in mail.text
    assert f"{title}&lt;b&gt;" in mail.html
    assert "http://evil" not in mail.text + mail.html


def test_deleted_enrollment_gets_no_email(course: Course, student: Caller, sent_emails: list[ses.EmailMessage]) -> None:
    enrollment = enrollments.enroll(student, course.id)
    enrollment.delete()
    again = enrollments.enroll(student, course.id)

    send_email(enrollment.id)
    send_email("nonsense")

    assert sent_emails == []
    kept = Enrollment.find(again.id)
    assert kept is not None and kept.email_pending


def test_enrollment_email_has_text_and_html(aws: None) -> None:
    ses.send(ses.EmailMessage("ada@example.org", "Hello é", "text", "<p>html</p>"))

    [message] = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
    assert {*message.destinations} == {"ada@example.org"}  # moto adds the header to the envelope
