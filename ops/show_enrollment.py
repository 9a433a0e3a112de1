"""The stored state of an enrollment and its email, for an operator."""

import hashlib
import json
from typing import Any

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.models.enrollments import Enrollment

_KEY_PREFIX = "email"


class EnrollmentNotFoundError(LookupError):
    """There is no such enrollment."""


def show(enrollment_id: str) -> dict[str, Any]:
    """Return the row of an enrollment, and the idempotency record of its email if there is one.

    The request ID in the row is that of all log lines about the email.

    Raises:
        EnrollmentNotFoundError: The enrollment was deleted or never existed.
    """
    enrollment = Enrollment.find(enrollment_id)
    if enrollment is None:
        raise EnrollmentNotFoundError(f"There is no enrollment {enrollment_id}.")
    return {
        "id": enrollment.id,
        "student": enrollment.student,
        "course": enrollment.course,
        "created_at": None if enrollment.is_waiting else enrollment.created_at,
        "waiting_since": enrollment.waiting_since,
        "place_number": enrollment.place_number,
        "request_id": enrollment.request_id,
        "email_pending": enrollment.email_pending is not None,
        "email_failed_at": enrollment.email_failed_at,
        "email_error": enrollment.email_error,
        "idempotency_record": _idempotency_record(enrollment_id),
    }


def _idempotency_record(enrollment_id: str) -> dict[str, Any] | None:
    """Return the record of Powertools: status is INPROGRESS or COMPLETED, expiration is in Unix seconds."""
    digest = hashlib.sha256(json.dumps(enrollment_id).encode()).hexdigest()
    response = aws.client("dynamodb").get_item(
        TableName=settings().resource_name("idempotency"),
        Key={"id": {"S": f"{_KEY_PREFIX}#{digest}"}},
        ConsistentRead=True,
    )
    item = response.get("Item")
    if item is None:
        return None
    return {"status": item["status"]["S"], "expiration": int(item["expiration"]["N"])}
