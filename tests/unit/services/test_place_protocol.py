"""Places under random interleavings and faults: never more students than places, and none free while students wait."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import Mock

import pytest
from pynamodb.expressions.update import Action

from chalicelib.models.base import Transaction, try_conditional
from chalicelib.models.place_counters import COUNTER, PlaceCounter, Resize
from chalicelib.models.places import Place
from tests.unit.services.place_protocol import Faults, ProtocolError, School

FAULTS = {
    "none": Faults(),
    "responses lost": Faults(lost_updates=0.1, lost_writes=0.03),
    "killed": Faults(killed=0.02, lost_updates=0.1, lost_writes=0.03, refused_messages=0.1),
}
SEEDS = 350 if "CI" in os.environ else 100  # of each kind of faults
LONG_SEEDS = 20_000
SEEDS_OF_VARIANT = 1000

Break = Callable[[pytest.MonkeyPatch], None]


@pytest.fixture
def school(monkeypatch: pytest.MonkeyPatch) -> Iterator[School]:
    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)
    school = School(monkeypatch)
    yield school
    school.close()


@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(
    "seeds", [range(SEEDS), pytest.param(range(LONG_SEEDS), marks=pytest.mark.long)], ids=["short", "long"]
)
def test_places_under_faults_go_to_students_in_order(school: School, faults: Faults, seeds: Sequence[int]) -> None:
    most_enrolled = [school.run(seed, faults).most_enrolled for seed in seeds]

    assert max(most_enrolled) > 3


def test_run_of_a_seed_makes_the_same_calls(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    make = school.database._make_api_call

    def note(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        calls.append(operation)
        return make(operation, parameters)

    monkeypatch.setattr(school.database, "_make_api_call", note)

    school.run(1, FAULTS["killed"])
    first, calls = calls, []
    school.run(1, FAULTS["killed"])

    assert calls == first


def _unconditional(transaction: Transaction) -> Any:
    """Return a transaction whose updates have no conditions."""
    return Mock(update=lambda row, actions, condition, label: transaction.update(row, actions, None, label))


def leave_without_check_of_settlement(patch: pytest.MonkeyPatch) -> None:
    add = PlaceCounter.add_departure

    def add_departure(to: Transaction, course: str, number: int, *, is_settled: bool) -> None:
        add(_unconditional(to), course, number, is_settled=is_settled)

    patch.setattr(PlaceCounter, "add_departure", add_departure)


def settle_without_check_of_departures(patch: pytest.MonkeyPatch) -> None:
    add = PlaceCounter.add_departure

    def add_departure(to: Transaction, course: str, number: int, *, is_settled: bool) -> None:
        if is_settled:
            add(to, course, number, is_settled=True)
        else:
            to.update(PlaceCounter(course), [PlaceCounter.left.add(0)], PlaceCounter.settled < number, COUNTER)

    def settle(self: PlaceCounter, end: int, freed: int, left: int) -> bool:
        actions: list[Action] = [PlaceCounter.settled.set(end)]
        actions += [counter.add(freed) for counter in (PlaceCounter.freed, PlaceCounter.limit, PlaceCounter.last)]
        return try_conditional(lambda: self.update(actions, condition=PlaceCounter.settled == self.settled))

    patch.setattr(PlaceCounter, "add_departure", add_departure)
    patch.setattr(PlaceCounter, "settle", settle)


def settle_without_void_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Place, "void", lambda course, number: True)


def reduce_capacity_without_check(patch: pytest.MonkeyPatch) -> None:
    add = Resize.add_to
    patch.setattr(Resize, "add_to", lambda self, to: add(self, _unconditional(to)))
    patch.setattr(Resize, "is_possible", True)


@pytest.mark.parametrize(
    "break_protocol",
    [
        leave_without_check_of_settlement,
        settle_without_check_of_departures,
        settle_without_void_rows,
        reduce_capacity_without_check,
    ],
)
def test_protocol_without_a_condition_is_found_wrong(
    school: School, monkeypatch: pytest.MonkeyPatch, break_protocol: Break
) -> None:
    break_protocol(monkeypatch)

    with pytest.raises(ProtocolError):
        for seed in range(SEEDS_OF_VARIANT):  # the first 60 suffice
            school.run(seed, FAULTS["none"])
