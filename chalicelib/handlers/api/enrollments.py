"""/enrollments."""

from chalice.app import Response

from chalicelib.core import ids
from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.enrollments import EnrollmentCreate, EnrollmentList, EnrollmentQuery, EnrollmentRead
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
    responses={201: EnrollmentRead},
    error_statuses={409},
    accepts_idempotency_key=True,
)
def create_enrollment(request: ApiRequest[EnrollmentCreate, None]) -> Response:
    """Enroll the caller, a student, in a published course.

    The student receives an email.
    """
    caller, course = request.caller, request.body.course
    return creation_response(
        request,
        EnrollmentRead.from_model,
        new_seed=ids.new_suffix,
        create=lambda suffix: enrollments.enroll(caller, course, suffix=suffix),
        find=lambda suffix: enrollments.get_own(caller, ids.enrollment_id(caller.id, course, suffix)),
    )


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404})
def delete_enrollment(request: ApiRequest[None, None], enrollment_id: str) -> Response:
    """Withdraw from a course: delete an enrollment."""
    enrollments.withdraw(request.caller, enrollment_id)
    return no_content()
