"""/enrollments."""

from chalice.app import Response

from chalicelib.core import ids
from chalicelib.handlers.api import waitlist
from chalicelib.handlers.authorizer import authorizer
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.waitlist import WaitlistEntry
from chalicelib.schemas.enrollments import EnrollmentCreate, EnrollmentList, EnrollmentQuery, EnrollmentRead
from chalicelib.schemas.waitlist import WaitlistEntryRead
from chalicelib.services import enrollments
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.idempotency import creation_response
from chalicelib.web.pagination import page_request, page_response
from chalicelib.web.responses import no_content
from chalicelib.web.routing import ApiBlueprint

COLLECTION_PATH = f"{API_PREFIX}/enrollments"
ITEM_PATH = f"{COLLECTION_PATH}/{{enrollment_id}}"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", COLLECTION_PATH, query=EnrollmentQuery, responses={200: EnrollmentList})
def list_enrollments(request: ApiRequest[None, EnrollmentQuery]) -> Response:
    """List enrollments, newest first.

    Students get their own, instructors and admins get all.
    """
    query = request.query
    page = enrollments.list_enrollments(
        request.caller, page_request(request), course=query.course, student=query.student
    )
    return page_response(request, page, EnrollmentList, [EnrollmentRead.from_model(row) for row in page.items])


@blueprint.endpoint(
    "POST",
    COLLECTION_PATH,
    body=EnrollmentCreate,
    responses={201: EnrollmentRead, 202: WaitlistEntryRead},
    error_statuses={409},
    accepts_idempotency_key=True,
)
def create_enrollment(request: ApiRequest[EnrollmentCreate, None]) -> Response:
    """Enroll the caller, a student, in a published course.

    The student receives an email. If the course is full, the student joins its waitlist if `wait` is true, and
    receives the email when a place becomes free. A 409 has one of these codes for the field `course`: `full`,
    `waitlist_full`, `not_open`, `closed`. Without a code, the student is enrolled or waits already.
    """
    caller, course = request.caller, request.body.course
    enroll = enrollments.enroll_or_wait if request.body.wait else enrollments.enroll
    return creation_response(
        request,
        _render,
        new_seed=ids.new_suffix,
        create=lambda suffix: enroll(caller, course, suffix=suffix),
        find=lambda suffix: enrollments.get_own(caller, ids.enrollment_id(caller.id, course, suffix)),
        locate=lambda created: (
            (202, waitlist.COLLECTION_PATH) if isinstance(created, WaitlistEntry) else (201, COLLECTION_PATH)
        ),
    )


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404})
def delete_enrollment(request: ApiRequest[None, None], enrollment_id: str) -> Response:
    """Withdraw from a course: delete an enrollment."""
    enrollments.withdraw(request.caller, enrollment_id)
    return no_content()


def _render(created: Enrollment | WaitlistEntry) -> EnrollmentRead | WaitlistEntryRead:
    if isinstance(created, WaitlistEntry):
        return WaitlistEntryRead.from_model(created)
    return EnrollmentRead.from_model(created)
