"""/lessons."""

from typing import Any

from chalice.app import Response

from chalicelib.schemas.lessons import (
    LessonChanges,
    LessonIn,
    LessonList,
    LessonOut,
    LessonQuery,
    LessonReplacement,
)
from chalicelib.services import lesson_listing, lessons
from chalicelib.web.etags import expected_versions, tagged, written
from chalicelib.web.pagination import list_answer, page_request
from chalicelib.web.routing import API, Call, Endpoints, json_answer, no_content

PATH = f"{API}/lessons"
ONE = f"{PATH}/{{lesson_id}}"

blueprint = Endpoints(__name__)


@blueprint.endpoint("GET", PATH, query=LessonQuery, answers={200: LessonList})
def list_lessons(call: Call[None, LessonQuery]) -> Response:
    """The lessons of the courses that the caller may see: by course, newest first, then in their order."""
    page = lesson_listing.browse(call.visitor, page_request(call), call.query.course)
    return list_answer(call, page, LessonList, [LessonOut.of(lesson) for lesson in page.items])


@blueprint.endpoint("POST", PATH, body=LessonIn, answers={201: LessonOut})
def create_lesson(call: Call[LessonIn, None]) -> Response:
    """Add a lesson to a course."""
    lesson = lessons.create(call.caller, call.body.course, call.body.changes())
    return json_answer(LessonOut.of(lesson), 201, {"Location": call.url(f"{PATH}/{lesson.id}/")})


@blueprint.endpoint("GET", ONE, answers={200: LessonOut, 304: None}, errors={404})
def read_lesson(call: Call[None, None], lesson_id: str) -> Response:
    """One lesson."""
    lesson = lessons.read(call.visitor, lesson_id)
    return tagged(call, LessonOut.of(lesson), lesson.version)


@blueprint.endpoint("PUT", ONE, body=LessonReplacement, answers={200: LessonOut}, errors={404, 412})
def replace_lesson(call: Call[LessonReplacement, None], lesson_id: str) -> Response:
    """Write a lesson anew; what is left out gets its default."""
    return _update(call, lesson_id)


@blueprint.endpoint("PATCH", ONE, body=LessonChanges, answers={200: LessonOut}, errors={404, 412})
def change_lesson(call: Call[LessonChanges, None], lesson_id: str) -> Response:
    """Change some fields of a lesson."""
    return _update(call, lesson_id)


@blueprint.endpoint("DELETE", ONE, answers={204: None}, errors={404, 412})
def delete_lesson(call: Call[None, None], lesson_id: str) -> Response:
    """Delete a lesson."""
    lessons.delete(call.caller, lesson_id, expected_versions(call))
    return no_content()


def _update(call: Call[Any, None], lesson_id: str) -> Response:
    lesson = lessons.update(call.caller, lesson_id, call.body.changes(), expected_versions(call))
    return written(LessonOut.of(lesson), lesson.version)
