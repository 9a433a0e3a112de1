"""/courses."""

from chalice.app import Response

from chalicelib.handlers.endpoints import API, Call, Endpoints, json_answer
from chalicelib.handlers.lists import list_answer, page_request
from chalicelib.schemas.courses import CourseIn, CourseList, CourseOut, CourseQuery
from chalicelib.services import courses

PATH = f"{API}/courses"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", PATH, query=CourseQuery, answers={200: CourseList})
def list_courses(call: Call[None, CourseQuery]) -> Response:
    """The courses that the caller may see, newest first."""
    query = call.query
    page = courses.browse(call.visitor, page_request(call), ordering=query.ordering, own=query.owner == "me")
    return list_answer(call, page, CourseList, [CourseOut.of(course) for course in page.items])


@blueprint.endpoint("POST", PATH, body=CourseIn, answers={201: CourseOut})
def create_course(call: Call[CourseIn, None]) -> Response:
    """Make a course, owned by the caller."""
    body = call.body
    course = courses.create(
        call.caller,
        title=body.title,
        description=body.description,
        price=body.price,
        is_published=body.is_published,
    )
    return json_answer(CourseOut.of(course), 201, {"Location": call.url(f"{PATH}/{course.id}/")})


@blueprint.endpoint("GET", f"{PATH}/{{course_id}}", answers={200: CourseOut}, errors=frozenset({404}))
def read_course(call: Call[None, None], course_id: str) -> Response:
    """One course."""
    return json_answer(CourseOut.of(courses.read(call.visitor, course_id)))
