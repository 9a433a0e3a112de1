"""Rows of keywords: none is left, whatever happens between the two transactions of an edit."""

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.adapters.cache import switch
from chalicelib.core.caller import Caller
from chalicelib.core.errors import Throttled
from chalicelib.core.roles import Role
from chalicelib.models.base import StaleRead, Transaction
from chalicelib.models.course_listings import CourseListing, keywords
from chalicelib.models.courses import Course
from chalicelib.services import courses, lessons
from ops import reindex
from tests.factories import create_course, create_user

LESSON: dict[str, Any] = {"title": "A lesson", "content": "", "duration_min": 5, "order_index": 1}


@pytest.fixture
def owner(aws: None) -> Caller:
    return create_user(Role.INSTRUCTOR)


def words_of(course_id: str) -> set[str]:
    """The keywords by which a search reads the course."""
    rows = [row for row in CourseListing.scan() if row.course_id == course_id and row.is_keyword]
    return {str(row.listing).removeprefix("keyword#") for row in rows}


def edit(owner: Caller, course: Course, title: str) -> Course:
    return courses.update(owner, course.id, {"title": title}, None)


@pytest.fixture
def kill_edits(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let edits end between their two transactions, until it is undone."""

    def dies(course: Course) -> None:
        raise StaleRead

    monkeypatch.setattr(Course, "_delete_stale_keywords", dies)
    return monkeypatch


def test_edit_deletes_the_rows_of_removed_keywords(owner: Caller) -> None:
    course = create_course(owner, title="Knots and links")

    edit(owner, course, "Only knots")

    assert words_of(course.id) == {"only", "knots"}
    stored = Course.find(course.id)
    assert stored is not None and stored.stale_keywords is None


OTHER_WRITES: dict[str, Callable[[Caller, Course], object]] = {
    "lesson": lambda owner, course: lessons.create(owner, course.id, LESSON),
    "edit": lambda owner, course: edit(owner, course, "Third words"),
    "same words again": lambda owner, course: edit(owner, course, "Knots and links"),
    "unpublication": lambda owner, course: courses.update(owner, course.id, {"is_published": False}, None),
    "deletion": lambda owner, course: courses.delete(owner, course.id, None),
}


@pytest.mark.parametrize("name", OTHER_WRITES)
def test_write_between_the_two_transactions_leaves_no_row(
    owner: Caller, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    course, delete, other = create_course(owner, title="Knots and links"), Course._delete_stale_keywords, [name]

    def delete_after_another_write(edited: Course) -> None:
        if other:
            OTHER_WRITES[other.pop()](owner, course)
        delete(edited)

    monkeypatch.setattr(Course, "_delete_stale_keywords", delete_after_another_write)
    edit(owner, course, "Only knots")

    stored = Course.find(course.id)
    is_listed = stored is not None and stored.is_published
    assert words_of(course.id) == ({*keywords(stored.title)} if stored and is_listed else set())


@pytest.mark.parametrize("name", [name for name in OTHER_WRITES if name != "lesson"])
def test_next_write_finishes_a_killed_edit(owner: Caller, kill_edits: pytest.MonkeyPatch, name: str) -> None:
    course = create_course(owner, title="Knots and links")
    edit(owner, course, "Only knots")
    assert words_of(course.id) == {"knots", "and", "links", "only"}
    kill_edits.undo()

    OTHER_WRITES[name](owner, course)

    stored = Course.find(course.id)
    assert words_of(course.id) == ({*keywords(stored.title)} if stored and stored.is_published else set())


def test_throttled_cleanup_fails_no_edit(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course, run, runs = create_course(owner, title="Knots and links"), Transaction.run, list[int]()

    def throttled_after_the_first(transaction: Transaction) -> None:
        runs.append(1)
        if len(runs) == 2:
            raise Throttled
        run(transaction)

    monkeypatch.setattr(Transaction, "run", throttled_after_the_first)

    assert edit(owner, course, "Only knots").title == "Only knots"
    assert edit(owner, course, "Only links").title == "Only links"
    assert words_of(course.id) == {"only", "links"}


def test_reindex_repairs_what_no_write_repairs(owner: Caller, kill_edits: pytest.MonkeyPatch) -> None:
    edited, intact = create_course(owner, title="Knots and links"), create_course(owner, title="Braids")
    edit(owner, edited, "Only knots")
    CourseListing("keyword#braids", f"{intact.created_at}#{intact.id}").delete()
    CourseListing("keyword#ghost", f"{intact.created_at}#{'0' * 16}").save()
    before = {row.key for row in CourseListing.scan() if not row.is_keyword}

    *_, repairs = reindex.run()

    assert (repairs.added, repairs.deleted, repairs.courses) == (1, 3, 2)
    assert (words_of(edited.id), words_of(intact.id), words_of("0" * 16)) == ({"only", "knots"}, {"braids"}, set())
    assert {row.key for row in CourseListing.scan() if not row.is_keyword} == before
    assert switch._read().epoch == 1, "cached lists of the time before are not read any more"
    *_, again = reindex.run()
    assert (again.added, again.deleted) == (0, 0)
    assert switch._read().epoch == 1


def test_reindex_decides_by_the_current_course(owner: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    course, repair, edits = create_course(owner, title="Knots"), Course.repair_listings, ["Knots and ghosts"]
    CourseListing("keyword#ghosts", f"{course.created_at}#{course.id}").save()

    def repair_after_an_edit(self: Course, **rows: Any) -> None:
        if edits:
            edit(owner, course, edits.pop())
        repair(self, **rows)

    monkeypatch.setattr(Course, "repair_listings", repair_after_an_edit)
    [*reindex.run()]

    assert words_of(course.id) == {"knots", "and", "ghosts"}
