"""Search on the tables of a local AWS: the pages of each search have all matches exactly once."""

import random
from functools import partial

import pytest

from chalicelib.services import courses
from tests.factories import store_courses
from tests.pages import assert_walk

# How many of a thousand courses have a word: from all of them to almost none.
SHARES = {"geometry": 1000, "algebra": 500, "analysis": 480, "topology": 100, "logic": 20}
COURSES = 300
SEARCHES = (
    "geometry", "topology", "geometry algebra", "algebra analysis", "geometry logic", "algebra topology",
    "topology logic", "geometry algebra analysis", "algebra analysis topology",
    "geometry algebra analysis topology logic",
)  # fmt: skip


@pytest.fixture(scope="module")
def titles(local_aws: None) -> dict[str, str]:
    """The titles of stored courses by ID, the oldest first."""
    generator = random.Random(7)
    words = [[word for word, share in SHARES.items() if generator.random() * 1000 < share] for _ in range(COURSES)]
    stored = [" ".join(chosen) for chosen in words]
    return dict(zip(store_courses(stored), stored, strict=True))


@pytest.mark.parametrize("text", SEARCHES)
def test_search_finds_all_matches_once_by_pages(titles: dict[str, str], text: str) -> None:
    matches = [course_id for course_id, title in titles.items() if {*text.split()} <= {*title.split()}]

    assert_walk(partial(courses.search, text=text), matches[::-1], limits=(20,))
