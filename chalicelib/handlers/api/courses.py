"""/courses and /courses-public."""

from typing import Any

from chalice.app import Response

from chalicelib.core.caller import Caller
from chalicelib.schemas.courses import (
    CourseChanges,
    CourseIn,
    CourseList,
    CourseOut,
    CourseQuery,
    PublicCourseQuery,
)
from chalicelib.services import courses
from chalicelib.web.etags import expected_versions, tagged, written
from chalicelib.web.pagination import list_answer, page_request
from chalicelib.web.routing import API, Call, Endpoints, json_answer, no_content

PATH = f"{API}/courses"
ONE = f"{PATH}/{{course_id}}"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", PATH, query=CourseQuery, answers={200: CourseList}, cached=True)
def list_courses(call: Call[None, CourseQuery]) -> Response:
    """The courses that the caller may see, newest first."""
    return _list(call, call.visitor, own=call.query.owner == "me")


@blueprint.endpoint("GET", f"{API}/courses-public", query=PublicCourseQuery, answers={200: CourseList}, cached=True)
def list_public_courses(call: Call[None, PublicCourseQuery]) -> Response:
    """The published courses, for anyone; up to 60 seconds old."""
    return _list(call, None, own=False)


@blueprint.endpoint("POST", PATH, body=CourseIn, answers={201: CourseOut})
def create_course(call: Call[CourseIn, None]) -> Response:
    """Make a course, owned by the caller."""
    course = courses.create(call.caller, call.body.changes())
    return json_answer(CourseOut.of(course), 201, {"Location": call.url(f"{PATH}/{course.id}/")})


@blueprint.endpoint("GET", ONE, answers={200: CourseOut, 304: None}, errors={404}, cached=True)
def read_course(call: Call[None, None], course_id: str) -> Response:
    """One course."""
    course = courses.read(call.visitor, course_id)
    return tagged(call, CourseOut.of(course), course.version)


@blueprint.endpoint("PUT", ONE, body=CourseIn, answers={200: CourseOut}, errors={404, 412})
def replace_course(call: Call[CourseIn, None], course_id: str) -> Response:
    """Write a course anew; what is left out gets its default."""
    return _update(call, course_id)


@blueprint.endpoint("PATCH", ONE, body=CourseChanges, answers={200: CourseOut}, errors={404, 412})
def change_course(call: Call[CourseChanges, None], course_id: str) -> Response:
    """Change some fields of a course."""
    return _update(call, course_id)


@blueprint.endpoint("DELETE", ONE, answers={204: None}, errors={404, 412})
def delete_course(call: Call[None, None], course_id: str) -> Response:
    """Delete a course, with its lessons and enrollments."""
    courses.delete(call.caller, course_id, expected_versions(call))
    return no_content()


def _list(call: Call[Any, Any], visitor: Caller | None, *, own: bool) -> Response:
    query = call.query
    query.check()
    if query.search is not None:
        page = courses.search(page_request(call), query.search)
    else:
        page = courses.browse(visitor, page_request(call), ordering=query.ordering, own=own)
    return list_answer(call, page, CourseList, [CourseOut.of(course) for course in page.items])


def _update(call: Call[Any, None], course_id: str) -> Response:
    course = courses.update(call.caller, course_id, call.body.changes(), expected_versions(call))
    return written(CourseOut.of(course), course.version)
