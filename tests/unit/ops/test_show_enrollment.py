import json
from unittest.mock import Mock

import pytest

from chalicelib.adapters import ses
from chalicelib.core.roles import Role
from chalicelib.services import enrollments
from ops import show_enrollment
from tests.factories import create_course, create_user
from tests.unit.email_worker import receive


def test_enrollment_shows_row_and_idempotency_record(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ses, "send", Mock(return_value="message ID"))
    enrollment = enrollments.enroll(create_user(Role.STUDENT), create_course(create_user(Role.INSTRUCTOR)).id)
    before = show_enrollment.show(enrollment.id)
    message = {"kind": "enrollment", "id": enrollment.id, "request_id": "r"}

    assert receive(json.dumps(message)) == []

    after = show_enrollment.show(enrollment.id)
    assert (before["email_pending"], before["idempotency_record"]) == (True, None)
    assert after["idempotency_record"]["status"] == "COMPLETED"
    assert json.dumps(after)


def test_deleted_enrollment_is_an_error(aws: None) -> None:
    with pytest.raises(show_enrollment.EnrollmentNotFoundError):
        show_enrollment.show("0" * 40)
