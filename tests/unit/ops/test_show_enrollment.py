import json
from typing import Any
from unittest.mock import Mock

import pytest

from chalicelib.adapters import ses
from chalicelib.core.email_kinds import EmailKind
from chalicelib.core.roles import Role
from chalicelib.handlers.workers import emails
from chalicelib.services import enrollments
from ops import show_enrollment
from tests.factories import create_course, create_user


def test_enrollment_shows_row_and_idempotency_record(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ses, "send", Mock(return_value="message ID"))
    enrollment = enrollments.enroll(create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR)).id)
    before = show_enrollment.show(enrollment.id)
    message: dict[str, Any] = {"kind": "enrollment", "id": enrollment.id, "request_id": "r"}
    emails._config.register_lambda_context(Mock(get_remaining_time_in_millis=lambda: 60_000))

    emails._send_once(message=message, kind=EmailKind.ENROLLMENT)

    after = show_enrollment.show(enrollment.id)
    assert (before["email_pending"], before["idempotency_record"]) == (True, None)
    assert after["idempotency_record"]["status"] == "COMPLETED"
    assert json.dumps(after)


def test_deleted_enrollment_is_an_error(aws: None) -> None:
    with pytest.raises(show_enrollment.EnrollmentNotFoundError):
        show_enrollment.show("0" * 40)
