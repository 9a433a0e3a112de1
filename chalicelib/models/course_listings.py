"""The lists of courses: one key-only row for each list that a course is in.

The rows change in the transaction that changes the course, and a list is one partition that is
read consistently: no list of courses waits for an index.
"""

import heapq
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from typing import TYPE_CHECKING

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, table_name

if TYPE_CHECKING:
    from chalicelib.models.courses import Course

MAX_WORDS = 60
MAX_WORD_LENGTH = 64

ALL = "all"
PUBLISHED = "published"


def owned_by(user_id: str) -> str:
    """The list of one owner's courses."""
    return f"owner#{user_id}"


def by_date(name: str) -> str:
    """The partition that orders a list by creation."""
    return f"{name}#date"


def by_price(name: str) -> str:
    """The partition that orders a list by price."""
    return f"{name}#price"


def with_word(word: str) -> str:
    """The partition of the published courses that have a word, by creation."""
    return f"word#{word}"


Rows = list["CourseListRow"]


class CourseListRow(Table):
    """One course's place in one list."""

    class Meta:
        table_name = table_name("course-lists")

    list = UnicodeAttribute(hash_key=True)
    position = UnicodeAttribute(range_key=True)

    @property
    def course_id(self) -> str:
        """The course that stands here: the position's last part."""
        return course_at(self.position)

    @property
    def key(self) -> tuple[str, str]:
        """The row's list and position."""
        return str(self.list), str(self.position)

    @classmethod
    def page(cls, partitions: "Sequence[str]", *, forward: bool, after: str | None, limit: int) -> "Rows":
        """Up to ``limit`` rows of lists read as one, behind a position, ascending when ``forward``; consistent.

        A course that is in several of them has the same position in each, and comes once.
        """
        condition = None
        if after is not None:
            condition = cls.position > after if forward else cls.position < after

        def rows_of(partition: str) -> Iterator[CourseListRow]:
            return cls.query(
                partition, condition, scan_index_forward=forward, limit=limit, page_size=limit, consistent_read=True
            )

        merged = heapq.merge(*map(rows_of, partitions), key=lambda row: str(row.position), reverse=not forward)
        once = (next(rows) for _, rows in groupby(merged, key=lambda row: str(row.position)))
        return [*islice(once, limit)]

    @classmethod
    def ids_created(cls, name: str, first: str, last: str) -> set[str]:
        """The ids of the courses of a list that were created from ``first`` to ``last`` (RFC 3339); consistent."""
        created = cls.position.between(first, last + "#~")
        return {row.course_id for row in cls.query(by_date(name), created, consistent_read=True)}


def course_at(position: str) -> str:
    """The id of the course at a position of a list."""
    return position.rpartition("#")[2]


def rows_of(course: "Course") -> Rows:
    """The rows that a course has in the lists: at most 6, and one a word when it is published."""
    date = f"{course.created_at}#{course.id}"
    price = f"{int(course.price_cents):010d}#{date}"
    names = [ALL, owned_by(course.owner_id)] + ([PUBLISHED] if course.is_published else [])
    rows = [CourseListRow(by_date(name), date) for name in names]
    rows += [CourseListRow(by_price(name), price) for name in names]
    if course.is_published:
        rows += [CourseListRow(with_word(word), date) for word in words(course.title, course.description)]
    return rows


def words(*texts: str) -> list[str]:
    """The first 60 distinct words of the texts, in their order, without case and accents."""
    return distinct_words(*texts)[:MAX_WORDS]


def distinct_words(*texts: str) -> list[str]:
    """The distinct words of the texts, in their order, without case and accents."""
    found: dict[str, None] = {}
    for text in texts:
        plain = unicodedata.normalize("NFKD", text).casefold()
        spaced = (c if c.isalnum() or c == "_" or unicodedata.category(c) == "Mc" else " " for c in _bare(plain))
        for word in "".join(spaced).split():
            found.setdefault(word[:MAX_WORD_LENGTH])
    return [*found]


def _bare(text: str) -> Iterator[str]:
    """The characters without their accents, which stand behind them as marks of their own."""
    return (character for character in text if unicodedata.category(character) != "Mn")
