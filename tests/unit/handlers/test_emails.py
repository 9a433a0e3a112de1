"""The emails' worker: what a batch's messages come to, one by one."""

import json
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.adapters import aws as aws_clients
from chalicelib.adapters import ses as ses_adapter
from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.retry_policy import MAX_RECEIVE_COUNT
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.users import User
from chalicelib.observability import metrics
from chalicelib.services import cleanup, emails, enrollments
from tests.factories import create_course, create_user, remove_enrollment
from tests.unit.email_worker import receive


def refusal(status: int, code: str, message: str = "") -> ClientError:
    error = {"Code": code, "Message": message}
    return ClientError({"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}, "SendRawEmail")


class Ses:
    """SES as it answers: each answer of ``says`` once, then with a message id."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.says: list[Exception] = []

    def send_raw_email(self, **request: Any) -> dict[str, str]:
        self.asked.append(request)
        if self.says:
            raise self.says.pop(0)
        return {"MessageId": "taken"}

    @property
    def addresses(self) -> list[str]:
        return [request["Destinations"][0] for request in self.asked]


@pytest.fixture
def ses(monkeypatch: pytest.MonkeyPatch) -> Ses:
    ses = Ses()
    real = aws_clients.client

    def client(name: str, *arguments: Any, **options: Any) -> Any:
        return ses if name == "ses" else real(name, *arguments, **options)

    monkeypatch.setattr("chalicelib.adapters.aws.client", client)
    monkeypatch.setattr("chalicelib.adapters.ses._BACKOFF_BASE_SECONDS", 0)
    return ses


@pytest.fixture
def course(aws: None) -> Course:
    return create_course(create_user(Role.INSTRUCTOR), title="Knots & links")


def enrolled(course: Course, name: str) -> Enrollment:
    return enrollments.enroll(create_user(Role.STUDENT, name=name), course.id)


def message(enrollment: Enrollment) -> str:
    return json.dumps(sqs.email_message(EmailKind.ENROLLMENT, enrollment.id, "r"))


def kept(enrollment: Enrollment) -> Enrollment:
    found = Enrollment.find(enrollment.id)
    assert found is not None
    return found


def owes(enrollment: Enrollment) -> bool:
    return kept(enrollment).email_pending is not None


def test_only_failed_messages_return_to_the_queue(course: Course, ses: Ses) -> None:
    ada, bob = enrolled(course, "ada"), enrolled(course, "bob")
    ses.says = [refusal(400, "MessageRejected")]

    assert receive(message(ada), message(bob)) == [message(ada)]
    assert ses.addresses == ["ada@example.org", "bob@example.org"]
    assert owes(ada) and not owes(bob)
    assert receive(message(ada), message(bob)) == []
    assert ses.addresses[2:] == ["ada@example.org"]


def test_failed_mark_is_repeated_without_a_second_email(
    course: Course, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = enrolled(course, "ada")
    with monkeypatch.context() as patch:
        patch.setattr(emails, "mark_sent", lambda *_: 1 / 0)
        assert receive(message(ada)) == [message(ada)]

    assert receive(message(ada), message(ada)) == []
    assert len(ses.asked) == 1
    assert not owes(ada)


def test_final_failure_marks_email_failed_and_redrive_sends_it(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")
    ses.says = [refusal(400, "MessageRejected")] * 2

    receive(message(ada), receives=MAX_RECEIVE_COUNT - 1)
    assert owes(ada)
    assert receive(message(ada), receives=MAX_RECEIVE_COUNT) == [message(ada)]
    assert kept(ada).email_failed_at and not owes(ada)
    assert [(row.id, row.email_error) for row in Enrollment.failed_emails()] == [(ada.id, "MessageRejected")]

    assert receive(message(ada)) == []
    assert len(ses.asked) == 3
    assert kept(ada).email_failed_at is None
    assert [*Enrollment.failed_emails()] == []


OUTAGES = {
    "unreachable": EndpointConnectionError(endpoint_url="ses"),
    "no response": ReadTimeoutError(endpoint_url="ses"),
    "quota": refusal(400, "Throttling", "Daily message quota exceeded."),
    "down": refusal(503, "ServiceUnavailable"),
    "paused": refusal(400, "AccountSendingPausedException"),
    "sender not verified": refusal(400, "MessageRejected", "Email address is not verified. The following …"),
    "no permission": refusal(403, "AccessDenied"),
    "defect": RuntimeError("a defect of a deploy"),
}


@pytest.mark.parametrize("name", OUTAGES)
def test_outage_of_any_length_loses_no_email(
    course: Course, ses: Ses, monkeypatch: pytest.MonkeyPatch, sent: Any, name: str
) -> None:
    monkeypatch.setattr(ses_adapter, "SEND_RETRY_BUDGET_SECONDS", -1)
    ada = enrolled(course, "ada")
    sent()
    now = clock.now()
    for hours in (1, 24, 24 * 30):
        for count in range(1, MAX_RECEIVE_COUNT + 1):
            ses.says = [OUTAGES[name]]
            assert receive(message(ada), receives=count) == [message(ada)] * (count < MAX_RECEIVE_COUNT)
        assert owes(ada)
        assert cleanup.run(now + timedelta(hours=hours), lambda *_: True)["EmailsRequeued"] == 1

    ses.says = []
    assert receive(message(ada)) == []
    assert not owes(ada)
    assert ses.addresses[-1] == "ada@example.org"


@pytest.mark.parametrize("code", ["MessageRejected", "InvalidParameterValue"])
def test_rejected_email_is_not_requeued(course: Course, ses: Ses, code: str) -> None:
    ada = enrolled(course, "ada")
    ses.says = [refusal(400, code, "Address blacklisted.")]

    receive(message(ada), receives=MAX_RECEIVE_COUNT)

    assert cleanup.run(clock.now() + timedelta(days=30), lambda *_: True)["EmailsRequeued"] == 0


@pytest.mark.parametrize(
    "body",
    ["", "no json", "[]", "{}", '{"kind": "enrollment", "id": "x"}', '{"kind": "other", "id": "x", "request_id": "r"}'],
)
def test_malformed_message_becomes_a_dead_letter(aws: None, ses: Ses, body: str) -> None:
    assert receive(body, receives=MAX_RECEIVE_COUNT) == [body]
    assert ses.asked == []


def test_no_email_is_started_without_enough_time(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")

    assert receive(message(ada), seconds_left=emails.MAX_SEND_SECONDS - 1) == [message(ada)]
    assert ses.asked == []
    assert receive(message(ada)) == []


@pytest.mark.parametrize(("status", "code"), [(400, "Throttling"), (503, "ServiceUnavailable")])
def test_transient_ses_error_is_retried(course: Course, ses: Ses, status: int, code: str) -> None:
    ada = enrolled(course, "ada")
    ses.says = [refusal(status, code)] * 7

    assert receive(message(ada)) == []
    assert len(ses.asked) == 8


def test_message_returns_to_the_queue_after_long_throttling(
    course: Course, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = enrolled(course, "ada")
    monkeypatch.setattr(ses_adapter, "SEND_RETRY_BUDGET_SECONDS", -1)
    ses.says = [refusal(400, "Throttling")]

    assert receive(message(ada)) == [message(ada)]
    assert len(ses.asked) == 1


def test_email_without_ses_response_is_not_retried(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")
    ses.says = [ReadTimeoutError(endpoint_url="ses")]

    assert receive(message(ada)) == [message(ada)]
    assert len(ses.asked) == 1


def test_withdrawn_student_gets_no_email_and_returning_one_does(course: Course, ses: Ses) -> None:
    student = create_user(Role.STUDENT, name="ada")
    ada = enrollments.enroll(student, course.id)
    remove_enrollment(ada)

    assert receive(message(ada)) == []
    assert ses.asked == []

    again = enrollments.enroll(student, course.id)
    assert receive(message(again)) == []
    assert ses.addresses == ["ada@example.org"]


def test_email_has_text_and_html(course: Course, ses: Ses) -> None:
    receive(message(enrolled(course, "ada")))

    [request] = ses.asked
    email = message_from_bytes(request["RawMessage"]["Data"], policy=default)
    assert request["Source"] == email["From"] == "eduflow@example.org"
    assert request["Destinations"] == [email["To"]] == ["ada@example.org"]
    assert email["Subject"] == "You are enrolled in Knots & links"
    text, page = (email.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None and "Knots & links" in text.get_content()
    assert page is not None and "Knots &amp; links" in page.get_content()


def test_email_that_was_never_tried_is_not_given_up(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")

    assert receive(message(ada), receives=MAX_RECEIVE_COUNT, seconds_left=1) == []

    assert owes(ada)
    assert kept(ada).email_failed_at is None


def test_records_are_named_by_their_purpose(course: Course, ses: Ses) -> None:
    """Not by the function: a new name of it must not send all emails again."""
    receive(message(enrolled(course, "ada")))

    [record] = boto3.client("dynamodb").scan(TableName="eduflow-idempotency-test")["Items"]
    assert record["id"]["S"].startswith("email#")


def test_subject_is_one_line(aws: None, ses: Ses) -> None:
    course = create_course(create_user(Role.INSTRUCTOR), title="Knots\r\nBcc: eve@example.org")

    receive(message(enrolled(course, "ada")))

    [request] = ses.asked
    email = message_from_bytes(request["RawMessage"]["Data"], policy=default)
    assert email["Subject"] == "You are enrolled in Knots Bcc: eve@example[.]org"
    assert email["Bcc"] is None


def test_email_of_an_enrollment_has_both_headers_of_one_click_unsubscription(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")
    receive(message(ada))

    [request] = ses.asked
    email = message_from_bytes(request["RawMessage"]["Data"], policy=default)
    user = User.find(ada.student)
    assert user is not None
    page = "https://api.example.org/api/v1/notifications/unsubscribe/"
    url = f"{page}?token={user.id}{user.unsubscribe_secret}enrollment"
    assert email["List-Unsubscribe"] == f"<{url}>, <mailto:eduflow@example.org?subject=unsubscribe>"
    assert email["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text = email.get_body(("plain",))
    assert text is not None and url in text.get_content()


def test_email_that_its_recipient_stopped_is_not_sent_and_not_pending(
    course: Course, ses: Ses, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(metrics, "increment", lambda name, number=1: counted.append(name))
    ada = enrolled(course, "ada")
    User.set_email_preferences(ada.student, {"enrollment"}, set())

    assert receive(message(ada)) == []

    assert (ses.asked, counted[-1]) == ([], "EmailsUnsubscribed")
    assert not owes(ada)
    assert kept(ada).email_failed_at is None


def test_other_preferences_do_not_stop_the_email(course: Course, ses: Ses) -> None:
    ada = enrolled(course, "ada")
    User.set_email_preferences(ada.student, {"waitlist", "completion", "reports"}, set())

    receive(message(ada))

    assert ses.addresses == ["ada@example.org"]
