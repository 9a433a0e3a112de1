"""/enrollments."""

from chalice.app import Response

from chalicelib.handlers.endpoints import API, Call, Endpoints, json_answer
from chalicelib.schemas.enrollments import EnrollmentIn, EnrollmentOut
from chalicelib.services import enrollments

PATH = f"{API}/enrollments"

blueprint = Endpoints(__name__)


@blueprint.endpoint("POST", PATH, body=EnrollmentIn, answers={201: EnrollmentOut}, errors=frozenset({409}))
def create_enrollment(call: Call[EnrollmentIn, None]) -> Response:
    """Enroll the caller, a student, in a published course; an email follows."""
    enrollment = enrollments.enroll(call.caller, call.body.course)
    return json_answer(EnrollmentOut.of(enrollment), 201, {"Location": call.url(f"{PATH}/{enrollment.id}/")})
