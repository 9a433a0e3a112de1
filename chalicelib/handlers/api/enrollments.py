"""/enrollments."""

from chalice.app import Response

from chalicelib.schemas.enrollments import EnrollmentIn, EnrollmentList, EnrollmentOut, EnrollmentQuery
from chalicelib.services import enrollments
from chalicelib.web.pagination import list_answer, page_request
from chalicelib.web.routing import API, Call, Endpoints, json_answer, no_content

PATH = f"{API}/enrollments"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", PATH, query=EnrollmentQuery, answers={200: EnrollmentList})
def list_enrollments(call: Call[None, EnrollmentQuery]) -> Response:
    """A student's own enrollments; for instructors and admins all; newest first."""
    query = call.query
    page = enrollments.browse(call.caller, page_request(call), course=query.course, student=query.student)
    return list_answer(call, page, EnrollmentList, [EnrollmentOut.of(enrollment) for enrollment in page.items])


@blueprint.endpoint("POST", PATH, body=EnrollmentIn, answers={201: EnrollmentOut}, errors={409})
def create_enrollment(call: Call[EnrollmentIn, None]) -> Response:
    """Enroll the caller, a student, in a published course; an email follows."""
    enrollment = enrollments.enroll(call.caller, call.body.course)
    return json_answer(EnrollmentOut.of(enrollment), 201, {"Location": call.url(f"{PATH}/{enrollment.id}/")})


@blueprint.endpoint("DELETE", f"{PATH}/{{enrollment_id}}", answers={204: None}, errors={404})
def delete_enrollment(call: Call[None, None], enrollment_id: str) -> Response:
    """End an enrollment."""
    enrollments.end(call.caller, enrollment_id)
    return no_content()
