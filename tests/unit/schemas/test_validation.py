"""What the API accepts as input, with the limits of the contract."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from chalicelib.core.errors import InvalidInput
from chalicelib.models.courses import Course
from chalicelib.schemas.accounts import LoginRequest, ProfilePatch, RefreshRequest, RegisterRequest, UserPatch
from chalicelib.schemas.base import PageQuery
from chalicelib.schemas.courses import CoursePatch, CourseQuery, CourseRead, CourseWrite, PublicCourseQuery
from chalicelib.schemas.enrollments import EnrollmentCreate, EnrollmentQuery
from chalicelib.schemas.lessons import LessonCreate, LessonPatch, LessonQuery, LessonReplace
from chalicelib.schemas.reports import DailyReportQuery


def is_valid(model: type[BaseModel], **fields: Any) -> bool:
    try:
        model.model_validate(fields)
    except ValidationError:
        return False
    return True


ACCOUNT: dict[str, Any] = {"username": "ada", "email": "ada@example.org", "password": "sphinx of black quartz"}
LESSON: dict[str, Any] = {"course": "x", "title": "A lesson"}

VALID: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (CourseWrite, {"title": "abc"}),
    (CourseWrite, {"title": "x" * 200}),
    (CourseWrite, {"title": "  " + "x" * 200 + "  "}),
    (CourseWrite, {"title": "Ünïcödé"}),
    (CoursePatch, {"description": "x" * 10_000}),
    (CoursePatch, {"price": "0"}),
    (CoursePatch, {"price": "0.1"}),
    (CoursePatch, {"price": "99999999.99"}),
    (CoursePatch, {"price": 99999999.99}),
    (CoursePatch, {"price": 1.5}),
    (CoursePatch, {"price": 7}),
    (CoursePatch, {"is_published": True}),
    (LessonPatch, {"content": "x" * 50_000}),
    (LessonPatch, {"duration_min": 1}),
    (LessonPatch, {"duration_min": 2_147_483_647}),
    (LessonPatch, {"order_index": 0}),
    (LessonPatch, {"order_index": 2_147_483_647}),
    (LessonCreate, LESSON),
    (RegisterRequest, ACCOUNT),
    (RegisterRequest, ACCOUNT | {"username": "a_1"}),
    (RegisterRequest, ACCOUNT | {"username": "A." * 75}),
    (RegisterRequest, ACCOUNT | {"role": "instructor"}),
    (RegisterRequest, ACCOUNT | {"email": "a" * 64 + "@" + "b" * 63 + "." + "c" * 63 + ".org"}),
    (RegisterRequest, ACCOUNT | {"email": " ada.l+x@mail.example.org "}),
    (UserPatch, {"role": "admin"}),
    (UserPatch, {"is_active": False}),
    (PageQuery, {"limit": "1"}),
    (PageQuery, {"limit": "100"}),
    (DailyReportQuery, {"from": "2026-11-22", "to": "2026-11-23"}),
    (CourseQuery, {"owner": "me"}),
    *((CourseQuery, {"ordering": ordering}) for ordering in ("created_at", "-created_at", "price", "-price")),
]

INVALID_PRICES: list[Any] = [-0.01, 1.999, 100_000_000, True, None, float("inf"), []]
INVALID: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (CourseWrite, {}),
    *((CourseWrite, {"title": title}) for title in ("", "ab", " ab ", "x" * 201, None, 7, ["abc"])),
    (CoursePatch, {"description": "x" * 10_001}),
    (CoursePatch, {"description": None}),
    *(
        (CoursePatch, {"price": price})
        for price in ("-1", "1.999", "100000000", "1e3", "٣", "", " 1", "1.", ".5", "1,5", "NaN", "Infinity")
    ),
    *((CoursePatch, {"price": price}) for price in INVALID_PRICES),
    *((CoursePatch, {"is_published": value}) for value in ("true", "no", 0, 1, None)),
    (LessonPatch, {"content": "x" * 50_001}),
    *((LessonPatch, {"duration_min": value}) for value in (0, -1, 2_147_483_648, 1.5, True, "5", None)),
    *((LessonPatch, {"order_index": value}) for value in (-1, 2_147_483_648, 0.5, False, "0", None)),
    (LessonPatch, {"title": "ab"}),
    (LessonReplace, {"course": "x"}),
    (LessonCreate, {"title": "A lesson"}),
    (LessonCreate, LESSON | {"course": "x" * 101}),
    *((RegisterRequest, ACCOUNT | {"username": name}) for name in ("ab", "x" * 151, "a b", "a@b", "añb", "ada\n", "")),
    *(
        (RegisterRequest, ACCOUNT | {"email": email})
        for email in (
            "",
            "ada",
            "@example.org",
            "ada@example",
            "ada@-example.org",
            "ada@example-.org",
            "ada@example..org",
            "a b@example.org",
            "ada@exämple.org",
            "a" * 65 + "@example.org",
            "ada@" + "b" * 64 + ".org",
            "a" * 60 + "@" + ".".join(["b" * 63] * 3) + ".org",
            "ada@example.org\nBcc: x@example.org",
            ".ada@example.org",
            "ada.@example.org",
            "a..da@example.org",
            "ada@127.0.0.1",
            "ada@example.1",
            "ada@example.x",
        )
    ),
    *(
        (model, fields | {"title": f"A {control}title"})
        for model, fields in ((CourseWrite, {}), (LessonCreate, LESSON), (CoursePatch, {}))
        for control in ("\n", "\0", "\x1b", "\x7f", "\x85", "\u202a", "\u202e", "\u2066", "\u2069")
    ),
    *((RegisterRequest, ACCOUNT | {"role": role}) for role in ("admin", "teacher", "", None)),
    (RegisterRequest, ACCOUNT | {"password": "x" * 4097}),
    (LoginRequest, {"username": "x" * 255, "password": "x"}),
    (LoginRequest, {"username": "x"}),
    (RefreshRequest, {"refresh": "x" * 4097}),
    (ProfilePatch, {"email": "ada"}),
    *((UserPatch, {"is_active": value}) for value in ("no", "true", 0, 1, None)),
    (UserPatch, {"role": "headmaster"}),
    *((PageQuery, {"limit": limit}) for limit in ("0", "101", "-1", "x", "1.5", "")),
    (PageQuery, {"cursor": "x" * 2001}),
    *(
        (DailyReportQuery, {name: day})
        for name in ("from", "to")
        for day in ("5", "2026-11-22T00:00:00Z", "2026-1-2", "20261122", "2026-02-30", "٢٠٢٦-11-22", "yesterday", "")
    ),
    *[(CoursePatch, {"capacity": value}) for value in (0, 100_001, "5", True, 1.5)],
    *[(CoursePatch, {"waitlist": value}) for value in (-1, 100_001, "5", None)],
    *[
        (CoursePatch, {name: value})
        for name in ("opens_at", "closes_at")
        for value in (
            "2026-11-22",
            "2026-11-22T09:30:00",
            "2026-02-30T09:30:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22 09:30:00Z",
            "1999-11-22T09:30:00Z",
            "",
            1_790_000_000,
        )
    ],
    (CoursePatch, {"lessons_for": "students"}),
    (CoursePatch, {"lessons_for": None}),
    (CourseQuery, {"owner": "you"}),
    (CourseQuery, {"ordering": "title"}),
    (CourseQuery, {"search": "x" * 1001}),
    (EnrollmentCreate, {"course": "x" * 101}),
    (EnrollmentCreate, {}),
    (EnrollmentQuery, {"course": "x" * 101}),
    (EnrollmentQuery, {"student": "x" * 101}),
    (LessonQuery, {"course": "x" * 101}),
]


@pytest.mark.parametrize(("model", "fields"), VALID)
def test_valid_input_is_accepted(model: type[BaseModel], fields: dict[str, Any]) -> None:
    assert is_valid(model, **fields)


@pytest.mark.parametrize(("model", "fields"), INVALID)
def test_invalid_input_is_rejected(model: type[BaseModel], fields: dict[str, Any]) -> None:
    assert not is_valid(model, **fields)


def test_defaults() -> None:
    course = CourseWrite.model_validate({"title": "Knots"}).provided_fields()
    lesson = LessonCreate.model_validate(LESSON).provided_fields()

    assert course == {"title": "Knots", "description": "", "price_cents": 0, "is_published": False}
    assert lesson == {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}
    assert RegisterRequest.model_validate(ACCOUNT).role == "student"
    page = PageQuery.model_validate({})
    assert (page.limit, page.cursor) == (20, None)
    query = CourseQuery.model_validate({})
    assert (query.ordering, query.search, query.owner) == ("-created_at", None, None)


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("2026-11-22T09:30:00Z", "2026-11-22T09:30:00.000000Z"),
        ("2026-11-22t09:30:00.5z", "2026-11-22T09:30:00.500000Z"),
        ("2026-11-22T09:30:00+02:00", "2026-11-22T07:30:00.000000Z"),
        ("2026-11-22T23:30:00.1234567-01:00", "2026-11-23T00:30:00.123456Z"),
    ],
)
def test_time_is_stored_in_utc_with_fixed_width(sent: str, stored: str) -> None:
    assert CoursePatch.model_validate({"opens_at": sent}).provided_fields() == {"opens_at": stored}


def test_places_of_a_course_are_between_1_and_100000() -> None:
    fields = [{"capacity": 1}, {"capacity": 100_000}, {"capacity": None}, {"waitlist": 0}, {"waitlist": 100_000}]

    assert [CoursePatch.model_validate(field).provided_fields() for field in fields] == fields


def test_patch_has_only_the_fields_of_the_body() -> None:
    assert CoursePatch.model_validate({"price": "0.29", "id": "x"}).provided_fields() == {"price_cents": 29}
    assert CoursePatch.model_validate({}).provided_fields() == {}
    assert LessonPatch.model_validate({"course": "x", "order_index": 2}).provided_fields() == {
        "course": "x",
        "order_index": 2,
    }
    assert UserPatch.model_validate({"email": "ADA@Example.org"}).provided_fields() == {"email": "ada@example.org"}


def test_replaced_lesson_keeps_its_course_unless_the_body_names_one() -> None:
    reset = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}

    assert LessonReplace.model_validate({"title": "A lesson"}).provided_fields() == reset
    assert LessonReplace.model_validate(LESSON).provided_fields() == reset | {"course": "x"}


def test_titles_are_trimmed() -> None:
    assert CourseWrite.model_validate({"title": " \tKnots \n"}).title == "Knots"


@pytest.mark.parametrize("query", [PublicCourseQuery, CourseQuery])
@pytest.mark.parametrize("search", ["", "knots"])
def test_search_excludes_other_orderings(query: type[PublicCourseQuery], search: str) -> None:
    query.model_validate({"search": search}).validate_combination()
    query.model_validate({"search": search, "ordering": "-created_at"}).validate_combination()
    query.model_validate({"ordering": "price"}).validate_combination()
    with pytest.raises(InvalidInput) as error:
        query.model_validate({"search": search, "ordering": "price"}).validate_combination()
    [field] = error.value.fields
    message = "`ordering` cannot be combined with `search`; results are newest first."
    assert (field.field, field.code, field.message) == ("ordering", "not_with_search", message)


@pytest.mark.parametrize("search", ["", "knots"])
def test_search_excludes_own_courses(search: str) -> None:
    CourseQuery.model_validate({"owner": "me"}).validate_combination()
    with pytest.raises(InvalidInput) as error:
        CourseQuery.model_validate({"search": search, "owner": "me"}).validate_combination()
    [field] = error.value.fields
    message = "`owner` cannot be combined with `search`, which covers all published courses."
    assert (field.field, field.code, field.message) == ("owner", "not_with_search", message)


def price_in_response(price_cents: int) -> str:
    course = Course(
        "e" * 16, owner_id="a", owner="ada", created_at="", updated_at="", title="", description="",
        price_cents=price_cents, is_published=True,
    )  # fmt: skip
    return CourseRead.from_model(course).price


@given(st.integers(0, 9_999_999_999))
def test_price_round_trips(cents: int) -> None:
    """Every price comes back as it was sent, as text and as a JSON number."""
    text = f"{cents // 100}.{cents % 100:02d}"
    for price in (f'"{text}"', text):
        patch = CoursePatch.model_validate_json(f'{{"price": {price}}}')
        assert patch.provided_fields() == {"price_cents": cents}
    assert price_in_response(cents) == text


@given(st.decimals(0, 99_999_999, places=2).filter(lambda price: price >= 0))
def test_price_is_never_rounded(price: Decimal) -> None:
    assert (
        Decimal(price_in_response(CoursePatch.model_validate({"price": price}).provided_fields()["price_cents"]))
        == price
    )


@given(st.dates())
def test_dates_have_one_form(day: date) -> None:
    query = DailyReportQuery.model_validate({"from": day.isoformat()})

    assert (query.from_, query.to) == (day, None)
