"""Full-text search: the published courses that have all words of a text."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from chalicelib.core.pagination import Cursor, Page, PageRequest, trim_to_size
from chalicelib.models import course_listings
from chalicelib.models.base import access_together
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.services import keyword_join
from chalicelib.services.keyword_join import Batch, ListRead, Matches, Source
from chalicelib.services.rendering import text_size

_OLDEST, _NEWEST = "0", "~"  # before and after all sort keys, which begin with a timestamp


class _Match(NamedTuple):
    sort_key: str
    course: Course


def load_page(request: PageRequest, words: Sequence[str]) -> Page[Course]:
    """Return a page of the published courses that have all these words, newest first; by consistent reads.

    It makes at most `keyword_join.MAX_REQUESTS` requests to DynamoDB. Only then can a page have fewer courses than its
    limit, or none, although more follow: if the words are frequent and rarely occur together.
    """
    start = request.cursor.sort_key if request.cursor else None
    source = Source(partial(_read, request.is_backward), partial(_load, words), request.is_backward)
    # Long words are likely to be rare: of very many words, the lists of these are read.
    names = [course_listings.with_keyword(word) for word in sorted(words, key=len, reverse=True)]
    rows = _page_of(request, keyword_join.find_matches(source, names, start, request.limit))
    rows = trim_to_size(rows, [text_size(row.course) for row in rows.items], request)
    return Page([row.course for row in rows.items], rows.next_cursor, rows.previous_cursor)


def _read(backward: bool, reads: Sequence[ListRead]) -> list[Batch]:
    def read(name: str, start: str | None, limit: int) -> Batch:
        return Batch(*CourseListing.sort_keys(name, ascending=backward, start=start, limit=limit))

    return access_together([CourseListing], [partial(read, *keys) for keys in reads])


def _load(words: Sequence[str], sort_keys: Sequence[str]) -> list[_Match]:
    """Return the courses that match: the row of a keyword can be older than the course."""
    ids = {sort_key: course_listings.course_id_of(sort_key) for sort_key in sort_keys}
    courses = Course.find_all([*ids.values()])
    rows = [_Match(sort_key, courses[course_id]) for sort_key, course_id in ids.items() if course_id in courses]
    return [row for row in rows if row.course.is_published and _has_words(row.course, words)]


def _has_words(course: Course, words: Sequence[str]) -> bool:
    return {*words} <= {*course_listings.keywords(course.title, course.description)}


def _page_of(request: PageRequest, matches: Matches[_Match]) -> Page[_Match]:
    """Return matches as a page. From an empty one, a client can still turn around."""
    backward, items = request.is_backward, matches.items
    onward = Cursor(matches.more_after, backward) if matches.more_after else None
    if request.cursor is None:
        return Page(items, onward, None)
    end = matches.more_after or (_NEWEST if backward else _OLDEST)
    turn = Cursor(items[0].sort_key if items else end, not backward)
    return Page(items[::-1], turn, onward) if backward else Page(items, onward, turn)
