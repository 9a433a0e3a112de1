"""Cascade deletions yield the number of rows of each step, which the worker adds up and logs."""

from collections.abc import Callable, Iterator

import pytest

from chalicelib.core.email_kinds import EmailKind
from chalicelib.models import places
from chalicelib.models.account_emails import AccountEmail
from chalicelib.models.lessons import Lesson
from chalicelib.models.places import Place
from chalicelib.models.sessions import Session

COURSE, USER = "c" * 16, "u" * 16
AT = "2026-11-22T00:00:00.000000Z"

DELETIONS: dict[str, tuple[Callable[[str], object], Callable[[], Iterator[int]]]] = {
    "lessons of a course": (
        lambda number: Lesson(
            COURSE, number * 8, title="T", content="", duration_min=5, order_index=1, created_at=AT, sort_key=number
        ).save(),
        lambda: Lesson.delete_all_of_course(COURSE),
    ),
    "places of a course": (
        lambda number: Place(COURSE, f"000000000{number}", state="left").save(),
        lambda: places.delete_all_of_course(COURSE),
    ),
    "sessions of a user": (
        lambda number: Session(USER, number * 16, refresh_id="r", auth_version=1, created_at=AT, expires_at=1).save(),
        lambda: Session.delete_all_of_user(USER),
    ),
    "emails of a user": (
        lambda number: AccountEmail.new(USER, EmailKind.VERIFICATION, AT, "request", email_id=number).save(),
        lambda: AccountEmail.delete_all_of_user(USER),
    ),
}


@pytest.mark.parametrize("rows", DELETIONS)
def test_steps_add_up_to_the_number_of_rows(aws: None, rows: str) -> None:
    create, delete_all = DELETIONS[rows]
    for number in "123":
        create(number)

    assert sum(delete_all()) == 3
    assert sum(delete_all()) == 0
