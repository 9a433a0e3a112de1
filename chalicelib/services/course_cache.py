"""What is read of courses through the cache, for whoever asks: who may see it is decided afterwards, each time.

Everything that writes a course says so with `changing`.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from chalicelib.adapters.cache import read_through
from chalicelib.adapters.cache.read_through import Entry
from chalicelib.core.errors import Busy
from chalicelib.core.pagination import Page, PageRequest, Place
from chalicelib.models.base import ConditionFailed
from chalicelib.models.courses import Course

_LISTS = "courses"
_ATTRIBUTES = (
    "id", "title", "description", "price_cents", "is_published", "owner_id", "owner", "created_at", "updated_at",
    "lessons_count", "version",
)  # fmt: skip


def find(course_id: str) -> Course | None:
    """The course of this id unless it is deleted, as it was when the last write of it had answered, or later."""
    entry = Entry(f"course:{course_id}", "it", _pack, _unpack)
    return read_through.fetch(entry, lambda: Course.find(course_id))


def page(what: str, request: PageRequest, load: Callable[[], Page[Course]]) -> Page[Course]:
    """A page of published courses. ``what`` names the list and its order; ``load`` reads it."""
    place = request.place
    name = json.dumps([what, request.limit, place and [place.position, place.back]])
    entry = Entry(_LISTS, hashlib.sha256(name.encode()).hexdigest(), _pack_page, _unpack_page)
    return read_through.fetch(entry, load) or load()  # a page is never missing, whatever a cache says


def changing(*states: Course) -> AbstractContextManager[None]:
    """Around a write, with the course as it was and as it will be."""
    scopes = {f"course:{course.id}" for course in states}
    if any(course.is_published for course in states):
        scopes.add(_LISTS)
    return read_through.changing(*scopes, refusals=(ConditionFailed, Busy))


def _pack(course: Course) -> str:
    return json.dumps(_as_dict(course))


def _unpack(text: str) -> Course:
    return _from_dict(json.loads(text))


def _pack_page(page: Page[Course]) -> str:
    places = [place and [place.position, place.back] for place in (page.next, page.previous)]
    return json.dumps([[_as_dict(course) for course in page.items], *places])


def _unpack_page(text: str) -> Page[Course]:
    courses, *places = json.loads(text)
    following, previous = (Place(*place) if place else None for place in places)
    return Page([_from_dict(course) for course in courses], following, previous)


def _as_dict(course: Course) -> dict[str, Any]:
    return {name: getattr(course, name) for name in _ATTRIBUTES}


def _from_dict(attributes: dict[str, Any]) -> Course:
    return Course(**{name: attributes[name] for name in _ATTRIBUTES})
