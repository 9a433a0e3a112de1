"""Tags of cached lists of courses: the courses in a page, and what decides which courses those are.

For a search, that is its words. For a page of an ordering, it is the range of the list that was read for it. The
position of a course in an ordering is a number, which lies in one bucket of each size: 1, 10, 100 and so on. A write
invalidates the tags of all buckets of its positions. A page has the tags of the buckets that cover its range, of the
largest size that is no larger than the range: at most eleven. So every write in its range invalidates a page, and of
the other writes only those next to it.
"""

from collections.abc import Sequence

from chalicelib.core import clock
from chalicelib.core.pagination import Page, PageRequest
from chalicelib.models.course_listings import date_sort_key, keywords, price_sort_key
from chalicelib.models.courses import Course

# Decimal digits of the positions: the seconds of Unix time, and the cents of the price in front of them.
_SECONDS_DIGITS = 10
_DIGITS = {"created_at": _SECONDS_DIGITS, "price": 10 + _SECONDS_DIGITS}


def tags_of_page(ordering: str, request: PageRequest, page: Page[Course]) -> list[str]:
    """Return the tags of a page in an ordering, which is descending if it begins with a minus."""
    name = ordering.lstrip("-")
    start, end = request.cursor and request.cursor.sort_key, page.read_up_to
    is_read_ascending = ordering.startswith("-") == request.is_backward
    low, high = (start, end) if is_read_ascending else (end, start)
    first = _position(low) if low else 0
    last = _position(high) if high else 10 ** _DIGITS[name] - 1
    magnitude = len(str(last - first)) - 1
    buckets = range(first // 10**magnitude, last // 10**magnitude + 1)
    return [*_ids(page), *(_bucket_tag(name, magnitude, bucket) for bucket in buckets)]


def tags_of_search(words: Sequence[str], page: Page[Course]) -> list[str]:
    """Return the tags of a page of a search."""
    return [*_ids(page), *map(_word_tag, words)]


def changed_tags(old: Course | None, new: Course | None) -> list[str]:
    """Return the tags of the pages that a write changes, given the course before and after it; none for a draft."""
    before, after = _places(old), _places(new)
    changed = before.keys() ^ after.keys() | {tag for tag in before.keys() & after if before[tag] != after[tag]}
    return sorted(changed | {course.id for course in (old, new) if course and course.is_published})


def _places(course: Course | None) -> dict[str, str]:
    """Return the tags of the pages that can contain the course, with its position where that can change."""
    if course is None or not course.is_published:
        return {}
    places = dict.fromkeys(map(_word_tag, keywords(course.title, course.description)), "")
    for name, sort_key in (("created_at", date_sort_key(course)), ("price", price_sort_key(course))):
        position = _position(sort_key)
        buckets = ((magnitude, position // 10**magnitude) for magnitude in range(_DIGITS[name]))
        places |= {_bucket_tag(name, *bucket): sort_key for bucket in buckets}
    return places


def _position(sort_key: str) -> int:
    """Return the position of a sort key: the price in cents, if it begins with that, and the second of creation."""
    *price, created_at, _ = sort_key.split("#")
    seconds = int(clock.parse_timestamp(created_at).timestamp())
    return int("".join(price) + f"{seconds:0{_SECONDS_DIGITS}}")


def _ids(page: Page[Course]) -> list[str]:
    return [course.id for course in page.items]


def _bucket_tag(name: str, magnitude: int, bucket: int) -> str:
    return f"{name}:{magnitude}:{bucket}"


def _word_tag(word: str) -> str:
    return f"word:{word}"
