"""Course listings: for each list that contains a course, one row with its sort key.

The rows change in the transaction that changes the course, and a list is one partition that is read consistently: no
list of courses lags behind an index.
"""

import heapq
import unicodedata
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from typing import TYPE_CHECKING

from pynamodb.attributes import UnicodeAttribute

from chalicelib.models.base import Table, TableMeta, access_together

if TYPE_CHECKING:
    from chalicelib.models.courses import Course

MAX_KEYWORDS = 60
MAX_KEYWORD_LENGTH = 64

ALL = "all"
PUBLISHED = "published"
_KEYWORD_PREFIX = "keyword#"


def owned_by(user_id: str) -> str:
    """Return the name of the list of one owner's courses."""
    return f"owner#{user_id}"


def by_date(name: str) -> str:
    """Return the partition that sorts a list by creation."""
    return f"{name}#date"


def by_price(name: str) -> str:
    """Return the partition that sorts a list by price."""
    return f"{name}#price"


def with_keyword(keyword: str) -> str:
    """Return the partition of the published courses that have a keyword, sorted by creation."""
    return f"{_KEYWORD_PREFIX}{keyword}"


class CourseListing(Table):
    """One course in one list."""

    class Meta(TableMeta):
        name = "course-listings"

    listing = UnicodeAttribute(hash_key=True)
    sort_key = UnicodeAttribute(range_key=True)

    @property
    def course_id(self) -> str:
        """The ID of the course: the last part of the sort key."""
        return course_id_of(self.sort_key)

    @property
    def key(self) -> tuple[str, str]:
        """The row's partition and sort key."""
        return str(self.listing), str(self.sort_key)

    @property
    def is_keyword(self) -> bool:
        """Whether this is the row of a keyword."""
        return str(self.listing).startswith(_KEYWORD_PREFIX)

    @classmethod
    def page(
        cls, partitions: Sequence[str], *, ascending: bool, after: str | None, limit: int
    ) -> list["CourseListing"]:
        """Return up to ``limit`` rows of lists merged into one, after a sort key; by consistent reads.

        A course that is in several lists has the same sort key in each, and is returned once.
        """
        condition = None
        if after is not None:
            condition = cls.sort_key > after if ascending else cls.sort_key < after

        def rows_of(partition: str) -> list[CourseListing]:
            rows = cls.query(
                partition, condition, scan_index_forward=ascending, limit=limit, page_size=limit, consistent_read=True
            )
            return [*rows]

        lists = access_together([cls], [partial(rows_of, partition) for partition in partitions])
        merged = heapq.merge(*lists, key=lambda row: str(row.sort_key), reverse=not ascending)
        distinct = (next(rows) for _, rows in groupby(merged, key=lambda row: str(row.sort_key)))
        return [*islice(distinct, limit)]

    @classmethod
    def sort_keys(cls, partition: str, *, ascending: bool, start: str | None, limit: int) -> tuple[list[str], bool]:
        """Return up to ``limit`` sort keys of a list, from one on, and whether they are the last; by a consistent read.

        It is one query, which reads at most 1 MB: it can return fewer keys than ``limit`` although more follow.
        """
        condition = None
        if start is not None:
            condition = cls.sort_key >= start if ascending else cls.sort_key <= start
        pages = cls.query(
            partition, condition, scan_index_forward=ascending, page_size=limit, consistent_read=True
        ).page_iter
        rows = next(pages)["Items"]  # not as models, of which thousands would take a second
        return [row["sort_key"]["S"] for row in rows], pages.last_evaluated_key is None

    @classmethod
    def of_owner(cls, user_id: str, start: str = "") -> Iterator["CourseListing"]:
        """Return the rows of an owner's courses, oldest first, from a sort key on; by consistent reads."""
        condition = cls.sort_key >= start if start else None
        return cls.query(by_date(owned_by(user_id)), condition, consistent_read=True)

    @classmethod
    def created_between(cls, first: str, last: str) -> Iterator[tuple[str, str]]:
        """Return creation and ID of the courses created from ``first`` to ``last`` (RFC 3339), oldest first.

        By consistent reads.
        """
        created = cls.sort_key.between(first, last + "#~")
        rows = cls.query(by_date(ALL), created, consistent_read=True)
        return ((str(row.sort_key).partition("#")[0], row.course_id) for row in rows)


def course_id_of(sort_key: str) -> str:
    """Return the ID of the course at a sort key of a list."""
    return sort_key.rpartition("#")[2]


def date_sort_key(course: "Course") -> str:
    """Return the sort key of a course in lists sorted by creation."""
    return f"{course.created_at}#{course.id}"


def price_sort_key(course: "Course") -> str:
    """Return the sort key of a course in lists sorted by price."""
    return f"{int(course.price_cents):010d}#{date_sort_key(course)}"


def listing_rows(course: "Course") -> list[CourseListing]:
    """Return the rows of a course: at most 6, and one for each keyword if it is published."""
    date, price = date_sort_key(course), price_sort_key(course)
    names = [ALL, owned_by(course.owner_id)] + ([PUBLISHED] if course.is_published else [])
    rows = [CourseListing(by_date(name), date) for name in names]
    rows += [CourseListing(by_price(name), price) for name in names]
    if course.is_published:
        rows += [keyword_row(course, word) for word in keywords(course.title, course.description)]
    return rows


def keyword_row(course: "Course", keyword: str) -> CourseListing:
    """Return the row of a course for one of its keywords."""
    return CourseListing(with_keyword(keyword), date_sort_key(course))


def keywords(*texts: str) -> list[str]:
    """Return the first MAX_KEYWORDS distinct words of the texts, in their order, without case and accents."""
    return tokenize(*texts)[:MAX_KEYWORDS]


def tokenize(*texts: str) -> list[str]:
    """Return the distinct words of the texts, in their order, without case and accents."""
    distinct: dict[str, None] = {}
    for text in texts:
        plain = _strip_accents(unicodedata.normalize("NFKD", text).casefold())
        spaced = (c if c.isalnum() or c == "_" or unicodedata.category(c) == "Mc" else " " for c in plain)
        for word in "".join(spaced).split():
            distinct.setdefault(word[:MAX_KEYWORD_LENGTH])
    return [*distinct]


def _strip_accents(text: str) -> Iterator[str]:
    """Return the characters without combining marks, into which NFKD decomposes accents."""
    return (character for character in text if unicodedata.category(character) != "Mn")
