"""/courses and /courses-public."""

from typing import Any

from chalice.app import Response

from chalicelib.core import ids
from chalicelib.core.caller import Caller
from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.courses import (
    CourseList,
    CoursePatch,
    CourseQuery,
    CourseRead,
    CourseWrite,
    PublicCourseQuery,
)
from chalicelib.services import courses
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.etags import conditional_response, if_match_versions, updated_response
from chalicelib.web.idempotency import creation_response
from chalicelib.web.pagination import page_request, rendered_page_response
from chalicelib.web.responses import no_content
from chalicelib.web.routing import ApiBlueprint

COLLECTION_PATH = f"{API_PREFIX}/courses"
ITEM_PATH = f"{COLLECTION_PATH}/{{course_id}}"
PUBLIC_PATH = f"{API_PREFIX}/courses-public"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", COLLECTION_PATH, query=CourseQuery, responses={200: CourseList}, reports_cache_status=True)
def list_courses(request: ApiRequest[None, CourseQuery]) -> Response:
    """List the courses visible to the caller, newest first."""
    return _list(request, request.caller_or_none, own=request.query.owner == "me")


@blueprint.endpoint("GET", PUBLIC_PATH, query=PublicCourseQuery, responses={200: CourseList}, reports_cache_status=True)
def list_public_courses(request: ApiRequest[None, PublicCourseQuery]) -> Response:
    """List the published courses.

    The response can be up to 60 seconds old.
    """
    return _list(request, None, own=False)


@blueprint.endpoint(
    "POST", COLLECTION_PATH, body=CourseWrite, responses={201: CourseRead}, accepts_idempotency_key=True
)
def create_course(request: ApiRequest[CourseWrite, None]) -> Response:
    """Create a course, owned by the caller."""
    caller, fields = request.caller, request.body.provided_fields()
    return creation_response(
        request,
        CourseRead.from_model,
        new_seed=ids.new_id,
        create=lambda course_id: courses.create(caller, fields, course_id=course_id),
        find=lambda course_id: courses.get_uncached(caller, course_id),
    )


@blueprint.endpoint(
    "GET", ITEM_PATH, responses={200: CourseRead, 304: None}, error_statuses={404}, reports_cache_status=True
)
def get_course(request: ApiRequest[None, None], course_id: str) -> Response:
    """Get a course."""
    course = courses.get(request.caller_or_none, course_id)
    return conditional_response(request, course.json, course.version)


@blueprint.endpoint("PUT", ITEM_PATH, body=CourseWrite, responses={200: CourseRead}, error_statuses={404, 409, 412})
def replace_course(request: ApiRequest[CourseWrite, None], course_id: str) -> Response:
    """Replace a course.

    Omitted fields are reset to their defaults, except for `capacity`, `waitlist`, `opens_at`, `closes_at` and
    `lessons_for`, which keep their values.
    """
    return _update(request, course_id)


@blueprint.endpoint("PATCH", ITEM_PATH, body=CoursePatch, responses={200: CourseRead}, error_statuses={404, 409, 412})
def update_course(request: ApiRequest[CoursePatch, None], course_id: str) -> Response:
    """Update fields of a course.

    A `capacity` can be set as long as the course has never been published; later the response is 409 with the code
    `has_enrollments`. It can be changed at any time: a larger one, or `null`, enrolls students who wait, and a smaller
    one is a 409 with the code `places_taken` if not that many places are left.
    """
    return _update(request, course_id)


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404, 412})
def delete_course(request: ApiRequest[None, None], course_id: str) -> Response:
    """Delete a course with its lessons and enrollments."""
    courses.delete(request.caller, course_id, if_match_versions(request))
    return no_content()


def _list(request: ApiRequest[Any, Any], caller: Caller | None, *, own: bool) -> Response:
    query = request.query
    query.validate_combination()
    if query.search is not None:
        page = courses.search(page_request(request), query.search)
    else:
        page = courses.list_courses(caller, page_request(request), ordering=query.ordering, own=own)
    return rendered_page_response(request, page, page.json)


def _update(request: ApiRequest[Any, None], course_id: str) -> Response:
    fields = request.body.provided_fields()
    course = courses.update(request.caller, course_id, fields, if_match_versions(request))
    return updated_response(CourseRead.from_model(course), course.version)
