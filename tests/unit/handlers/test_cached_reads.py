"""The course routes with a cache and without: the same bodies for everybody, and what each answer costs."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import permutations
from random import Random
from typing import Any

import pytest
from chalice.test import Client

from app import app
from chalicelib.adapters.cache import client as cache_client
from chalicelib.adapters.cache import read_through
from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Conflict
from chalicelib.core.pagination import Page, PageRequest
from chalicelib.core.roles import Role
from chalicelib.models.courses import Course
from chalicelib.services import course_cache, courses, enrollments, lesson_listing, lessons
from chalicelib.services.rendering import RenderedCoursePage
from tests.factories import create_course, create_token, create_user
from tests.fault_injection.valkey import Valkey, forget

ORDERINGS = ("created_at", "-created_at", "price", "-price")
LESSON = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}
WHO = ("owner", "rival", "student", "anonymous", "admin")
AnyPage = Page[Any] | RenderedCoursePage


class School:
    """Two instructors with a published course and a draft each, and who looks at them."""

    def __init__(self) -> None:
        self.people: dict[str, Caller] = {
            "owner": create_user(Role.INSTRUCTOR),
            "rival": create_user(Role.INSTRUCTOR),
            "student": create_user(Role.STUDENT),
            "admin": create_user(Role.ADMIN),
        }
        made = [
            create_course(
                self.people[who], title=f"{kind} of {who}", description="words", is_published=kind == "Course"
            )
            for who in ("owner", "rival")
            for kind in ("Course", "Draft")
        ]
        self.courses: list[Course] = made
        lists = ["/courses", "/courses?limit=1", "/courses?ordering=price", "/courses?search=words", "/courses-public"]
        taught = [lessons.create(self.people["owner"], course.id, LESSON) for course in made[:2]]
        self.routes = [*lists, "/courses?owner=me", *(f"/courses/{course.id}" for course in made)]
        self.routes += [*(f"/lessons?course={course.id}" for course in made), *(f"/lessons/{one.id}" for one in taught)]
        self._headers = {
            who: {"Authorization": f"Bearer {create_token(caller)}"} for who, caller in self.people.items()
        } | {"anonymous": {}}

    def get(self, client: Any, who: str, route: str) -> tuple[int, Any, str | None]:
        """Status, body without what differs from request to request, and X-Cache if there is one."""
        response = client.http.get(f"/api/v1{route}", headers=self._headers[who])
        body = {k: v for k, v in response.json_body.items() if k not in ("timestamp", "request_id")}
        return response.status_code, body, response.headers.get("X-Cache")


@pytest.fixture
def client() -> Iterator[Any]:
    with Client(app, stage_name="test") as client:
        yield client


# Everybody fills the cache, and all others follow, each pair in both orders; every order takes minutes.
_EVERY = [*permutations(WHO)]
_EACH_FIRST = [(*WHO[first:], *WHO[:first]) for first in range(len(WHO))]


@pytest.mark.parametrize(
    "orders", [pytest.param(_EACH_FIRST, id="short"), pytest.param(_EVERY, id="long", marks=pytest.mark.long)]
)
def test_cache_shows_no_caller_the_drafts_of_others(
    valkey: Valkey, client: Any, monkeypatch: pytest.MonkeyPatch, orders: list[tuple[str, ...]]
) -> None:
    school = School()
    with monkeypatch.context() as patch:
        patch.setenv("ENABLE_CACHE", "false")
        forget()
        expected = {(who, route): school.get(client, who, route) for who in WHO for route in school.routes}
    forget()
    assert {how for status, _, how in expected.values() if status == 200} == {"bypass"}
    assert len({str(expected[who, "/courses"][1]) for who in WHO}) == 4  # students see what anonymous ones see
    served = Counter[str | None]()

    for order in orders:
        valkey.client.flushall()
        for who in (*order, *order):
            for route in school.routes:
                *response, how = school.get(client, who, route)
                assert response == [*expected[who, route][:2]], (order, who, route)
                served[how] += 1

    assert served["hit"] > served["miss"] > 0


def test_access_is_checked_after_the_cache(valkey: Valkey, client: Any) -> None:
    school = School()
    draft = school.courses[1]

    assert school.get(client, "owner", f"/courses/{draft.id}")[::2] == (200, "miss")
    assert school.get(client, "admin", f"/courses/{draft.id}")[::2] == (200, "hit")
    for who in ("rival", "student", "anonymous"):
        status, body, how = school.get(client, who, f"/courses/{draft.id}")
        assert (status, how) == (404, None), "whether the cache has it would reveal that it exists"
        assert draft.title not in str(body)


def test_lessons_of_a_hidden_course_look_like_those_of_none(valkey: Valkey, client: Any) -> None:
    school = School()
    hidden = f"/lessons?course={school.courses[1].id}"
    assert school.get(client, "owner", hidden)[2] == "miss"

    for who in ("rival", "student", "anonymous"):
        for route in (hidden, f"/lessons?course={'0' * 16}", "/lessons?course=none"):
            assert school.get(client, who, route)[::2] == (200, "bypass")
            assert school.get(client, who, route)[1]["results"] == []


def test_refused_change_leaves_the_cache_as_it_was(valkey: Valkey, client: Any) -> None:
    school = School()
    course = school.courses[0]
    routes = ["/courses", f"/courses/{course.id}"]
    for route in routes:
        school.get(client, "anonymous", route)

    with pytest.raises(Conflict):  # it was published without a capacity
        courses.update(school.people["owner"], course.id, {"capacity": 5}, None)

    assert [school.get(client, "anonymous", route)[2] for route in routes] == ["hit", "hit"]


def test_unpublished_course_is_in_no_public_listing(valkey: Valkey, client: Any) -> None:
    school = School()
    course = school.courses[0]
    routes = ["/courses", "/courses?search=words", f"/courses/{course.id}"]
    for route in routes:
        assert course.title in str(school.get(client, "anonymous", route)[1])

    courses.update(school.people["owner"], course.id, {"is_published": False}, None)

    for route in routes:
        assert course.title not in str(school.get(client, "anonymous", route)[1])
    assert school.get(client, "owner", f"/courses/{course.id}")[0] == 200


def test_etag_is_the_same_from_the_cache(valkey: Valkey, client: Any) -> None:
    route = f"/api/v1/courses/{School().courses[0].id}"
    cold, warm = client.http.get(route), client.http.get(route)

    not_modified = client.http.get(route, headers={"If-None-Match": cold.headers["ETag"]})

    assert cold.headers["ETag"] == warm.headers["ETag"]
    assert (not_modified.status_code, not_modified.headers["X-Cache"]) == (304, "hit")


@pytest.mark.parametrize(
    ("route", "miss"),
    [
        ("detail", ["GetItem"]),
        ("list", ["Query", "BatchGetItem"]),
        ("search", ["Query", "BatchGetItem"]),
        ("lessons", ["GetItem", "Query", "BatchGetItem"]),
        ("lesson", ["GetItem", "GetItem"]),
    ],
)
def test_response_costs_the_documented_calls(
    valkey: Valkey, client: Any, dynamodb_calls: list[str], route: str, miss: list[str]
) -> None:
    """A hit is one round trip to the cache; a miss is three, and the reads."""
    school = School()
    course_id = school.courses[0].id
    lesson = lessons.create(school.people["owner"], course_id, LESSON)
    path = {
        "detail": f"/courses/{course_id}",
        "list": "/courses",
        "search": "/courses?search=words",
        "lessons": f"/lessons?course={course_id}",
        "lesson": f"/lessons/{lesson.id}",
    }[route]
    school.get(client, "anonymous", "/courses-public?limit=1")  # the connection is there
    costs = []
    for _ in range(2):
        dynamodb_calls.clear()
        before = _socket_reads(valkey)
        how = school.get(client, "anonymous", path)[2]
        costs.append((how, [*dynamodb_calls], _socket_reads(valkey) - before - 1))

    assert costs == [("miss", miss, 3), ("hit", [], 1)]


def test_enrolling_reads_the_course_from_the_cache(valkey: Valkey, dynamodb_calls: list[str], sent: Any) -> None:
    school = School()
    first, second = create_user(Role.STUDENT), create_user(Role.STUDENT)
    enrollments.enroll(first, school.courses[0].id)
    dynamodb_calls.clear()
    before = _socket_reads(valkey)

    enrollments.enroll(second, school.courses[0].id)

    assert (dynamodb_calls, _socket_reads(valkey) - before - 1) == (["TransactWriteItems"], 1)


def _socket_reads(valkey: Valkey) -> int:
    """How often the server has read from a socket: once for each pipeline of the application, and once for this."""
    return int(valkey.client.info("stats")["total_reads_processed"])


def test_word_order_makes_no_other_search(valkey: Valkey, client: Any) -> None:
    school = School()

    served = [
        school.get(client, "anonymous", f"/courses?search={words}") for words in ("of+words", "words+of", "WORDS+Of")
    ]

    assert [how for _, _, how in served] == ["miss", "hit", "hit"]
    assert len(served[0][1]["results"]) == 2
    assert served[0][1]["results"] == served[1][1]["results"]


def test_write_leaves_all_other_pages_in_the_cache(valkey: Valkey, client: Any) -> None:
    school = School()
    course, other = school.courses[0], school.courses[2]
    first = "/courses?limit=1"
    following = school.get(client, "student", first)[1]["next"].partition("/api/v1")[2]
    routes = [first, following, f"/courses/{other.id}", "/courses?search=rival", "/courses?search=owner"]
    for route in routes:
        school.get(client, "student", route)

    lessons.create(school.people["owner"], course.id, LESSON)

    expected = ["hit", "miss", "hit", "hit", "miss"]  # the older course is on the second page
    assert [school.get(client, "student", route)[2] for route in routes] == expected
    create_course(school.people["owner"], title="Another of owner")
    assert [school.get(client, "student", route)[2] for route in routes] == ["miss", "miss", "hit", "hit", "miss"]


def test_every_read_after_a_write_is_that_of_the_database(valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is written: a list whose tag a write forgets would be shown as it was before."""
    random = Random(1)
    teacher = create_user(Role.INSTRUCTOR)
    words = ["knots", "ropes", "sails"]
    made = [create_course(teacher, title="Knots", description="ropes") for _ in range(4)]
    taught = [lessons.create(teacher, course.id, LESSON) for course in made]
    reads: list[Callable[..., AnyPage]] = [
        *map(list_of, ORDERINGS),
        *(partial(courses.search, text=text) for text in (*words, "knots sails")),
        *(partial(lesson_listing.list_lessons, None, course_id=course.id) for course in made),
    ]

    def all_pages() -> list[Any]:
        pages = [page for read in reads for page in pages_of(read)]
        return pages + [course_cache.get(course.id) for course in made]

    for _ in range(40):
        all_pages()
        at = random.randrange(len(made))
        fields: dict[str, Any] = random.choice(
            [
                {"title": random.choice(words) * random.randint(1, 2)},
                {"description": " ".join(random.sample(words, 2))},
                {"price_cents": random.randrange(1000)},
                {"is_published": random.random() < 0.7},
            ]
        )
        kind = random.randrange(8)
        if kind == 0:
            courses.delete(teacher, made[at].id, None)
            now = made[at - 1].created_at
            created_at = clock.parse_timestamp(now) + timedelta(seconds=random.choice([-9, -0.5, 0.5, 9]))
            made[at] = create_course(teacher, created_at, title=random.choice(words), description=random.choice(words))
            taught[at] = lessons.create(teacher, made[at].id, LESSON)
        elif kind == 1:
            lessons.create(teacher, made[at].id, LESSON)
        elif kind == 2:
            lessons.update(teacher, taught[at].id, {"title": f"Lesson {random.random()}"}, None)
        else:
            courses.update(teacher, made[at].id, fields, None)
        assert all_pages() == without_cache(monkeypatch, all_pages), (kind, fields)


@pytest.mark.parametrize("gap", [timedelta(microseconds=2), timedelta(days=200)])
def test_course_at_every_position_is_in_the_pages_of_the_database(
    valkey: Valkey, monkeypatch: pytest.MonkeyPatch, gap: timedelta
) -> None:
    """Before the first course, between each two, after the last, and in an empty list; then it is deleted."""
    teacher = create_user(Role.INSTRUCTOR)
    start = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    reads = [*map(list_of, ORDERINGS)]
    made, served = list[str](), Counter[str]()

    def all_pages(limit: int) -> list[AnyPage]:
        return [page for read in reads for page in pages_of(read, limit, served)]

    for number, limit in ((0, 2), (1, 1), (5, 2)):
        for at in range(len(made), number):
            made.append(create_course(teacher, start + at * gap, price_cents=100 * at).id)
        read = partial(all_pages, limit)
        for at in range(-1, number):
            read()
            course = create_course(teacher, start + (at + 0.5) * gap, price_cents=100 * at + 150)
            assert read() == without_cache(monkeypatch, read), f"created after {at} of {number}"
            courses.delete(teacher, course.id, None)
            assert read() == without_cache(monkeypatch, read), f"deleted after {at} of {number}"

    assert served["hit"] > 0


def list_of(ordering: str) -> Callable[..., AnyPage]:
    """Return what reads a page of the published courses."""
    return partial(courses.list_courses, None, ordering=ordering, own=False)


def pages_of(read: Callable[..., AnyPage], limit: int = 2, served: Counter[str] | None = None) -> Iterator[AnyPage]:
    """Return the pages of a list from the first to the last, and back to the first."""
    backward, cursor = False, None
    while True:
        page = read(request=PageRequest(limit, cursor))
        if served is not None:
            served[read_through.cache_status.get()] += 1
        yield page._replace(read_up_to=None) if isinstance(page, Page) else page  # it has one only if it was loaded
        backward = backward or page.next_cursor is None
        cursor = page.previous_cursor if backward else page.next_cursor
        if cursor is None:
            return


def without_cache(monkeypatch: pytest.MonkeyPatch, read: Callable[[], list[Any]]) -> list[Any]:
    """Return the result of a read without the cache."""
    with monkeypatch.context() as patch:
        patch.setattr(cache_client, "is_enabled", lambda: False)
        return read()
