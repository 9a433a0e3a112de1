"""Walks through the pages of a list of a service."""

from collections.abc import Callable
from typing import Any

from chalicelib.core.pagination import Page, PageRequest
from chalicelib.services.rendering import RenderedCoursePage
from tests.factories import course_ids

Fetch = Callable[[PageRequest], Page[Any] | RenderedCoursePage]


def assert_walk(fetch: Fetch, expected: list[str], limits: tuple[int, ...] = (1, 2, 3, 100)) -> None:
    """Assert that a list has these IDs, forward by `next` and backward by `previous`."""
    for limit in limits:
        page = fetch(PageRequest(limit))
        assert page.previous_cursor is None
        ids = ids_of(page)
        while page.next_cursor:
            page = fetch(PageRequest(limit, page.next_cursor))
            ids += ids_of(page)
        assert ids == expected
        backward = ids_of(page)
        while page.previous_cursor:
            page = fetch(PageRequest(limit, page.previous_cursor))
            assert page.next_cursor is not None, "the way back"
            backward = ids_of(page) + backward
        assert backward == expected


def ids_of(page: Page[Any] | RenderedCoursePage) -> list[str]:
    return course_ids(page) if isinstance(page, RenderedCoursePage) else [item.id for item in page.items]
