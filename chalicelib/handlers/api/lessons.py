"""/lessons."""

from typing import Any

from chalice.app import Response

from chalicelib.core import ids
from chalicelib.handlers.authorizer import authorizer
from chalicelib.schemas.lessons import (
    LessonCreate,
    LessonList,
    LessonPatch,
    LessonQuery,
    LessonRead,
    LessonReplace,
)
from chalicelib.services import lesson_listing, lessons
from chalicelib.web.endpoint import API_PREFIX, ApiRequest
from chalicelib.web.etags import conditional_response, if_match_versions, updated_response
from chalicelib.web.idempotency import creation_response
from chalicelib.web.pagination import page_request, rendered_page_response
from chalicelib.web.responses import no_content
from chalicelib.web.routing import ApiBlueprint

COLLECTION_PATH = f"{API_PREFIX}/lessons"
ITEM_PATH = f"{COLLECTION_PATH}/{{lesson_id}}"

blueprint = ApiBlueprint(__name__, authorizer)


@blueprint.endpoint("GET", COLLECTION_PATH, query=LessonQuery, responses={200: LessonList}, reports_cache_status=True)
def list_lessons(request: ApiRequest[None, LessonQuery]) -> Response:
    """List the lessons of the courses visible to the caller.

    They are sorted by course, newest first, and by `order_index` within a course. Lessons for the enrolled are without
    `content` and with `locked` for callers who are not enrolled.
    """
    page = lesson_listing.list_lessons(request.caller_or_none, page_request(request), request.query.course)
    return rendered_page_response(request, page, ",".join(lesson.json for lesson in page.items))


@blueprint.endpoint(
    "POST", COLLECTION_PATH, body=LessonCreate, responses={201: LessonRead}, accepts_idempotency_key=True
)
def create_lesson(request: ApiRequest[LessonCreate, None]) -> Response:
    """Add a lesson to a course."""
    caller, course, fields = request.caller, request.body.course, request.body.provided_fields()
    return creation_response(
        request,
        LessonRead.from_model,
        new_seed=ids.new_suffix,
        create=lambda suffix: lessons.create(caller, course, fields, suffix=suffix),
        find=lambda suffix: lessons.get_uncached(caller, ids.lesson_id(course, suffix)),
    )


@blueprint.endpoint(
    "GET", ITEM_PATH, responses={200: LessonRead, 304: None}, error_statuses={403, 404}, reports_cache_status=True
)
def get_lesson(request: ApiRequest[None, None], lesson_id: str) -> Response:
    """Get a lesson.

    If the lessons of its course are for the enrolled, and the caller is not, the response is 403 with the code
    `not_enrolled`.
    """
    lesson = lessons.get(request.caller_or_none, lesson_id)
    return conditional_response(request, lesson.json, lesson.version)


@blueprint.endpoint("PUT", ITEM_PATH, body=LessonReplace, responses={200: LessonRead}, error_statuses={404, 412})
def replace_lesson(request: ApiRequest[LessonReplace, None], lesson_id: str) -> Response:
    """Replace a lesson.

    Omitted fields are reset to their defaults, except for the course.
    """
    return _update(request, lesson_id)


@blueprint.endpoint("PATCH", ITEM_PATH, body=LessonPatch, responses={200: LessonRead}, error_statuses={404, 412})
def update_lesson(request: ApiRequest[LessonPatch, None], lesson_id: str) -> Response:
    """Update fields of a lesson."""
    return _update(request, lesson_id)


@blueprint.endpoint("DELETE", ITEM_PATH, responses={204: None}, error_statuses={404, 412})
def delete_lesson(request: ApiRequest[None, None], lesson_id: str) -> Response:
    """Delete a lesson."""
    lessons.delete(request.caller, lesson_id, if_match_versions(request))
    return no_content()


def _update(request: ApiRequest[Any, None], lesson_id: str) -> Response:
    fields = request.body.provided_fields()
    lesson = lessons.update(request.caller, lesson_id, fields, if_match_versions(request))
    return updated_response(LessonRead.from_model(lesson), lesson.version)
