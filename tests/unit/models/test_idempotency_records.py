"""The conditions of idempotency records: who has the lease of a key, and whose writes are carried out."""

import pytest

from chalicelib.models import idempotency_records
from chalicelib.models.idempotency_records import IdempotencyRecord
from tests.unit.fake_clock import FakeClock

SCOPE = ("user", "POST", "/courses", "key")


@pytest.fixture
def clock(aws: None, monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(1_800_000_000)
    monkeypatch.setattr(idempotency_records, "time", clock)
    return clock


def record(seed: str = "s" * 8, body: str = "{}") -> IdempotencyRecord:
    return IdempotencyRecord.new(SCOPE, body, seed)


def stored() -> IdempotencyRecord | None:
    return IdempotencyRecord.get_or_none(record().id)


def insert(seed: str = "s" * 8, body: str = "{}") -> IdempotencyRecord:
    new = record(seed, body)
    assert new.insert() is None
    return new


def read() -> IdempotencyRecord:
    row = stored()
    assert row is not None
    return row


def test_second_record_of_a_key_is_not_inserted(clock: FakeClock) -> None:
    insert("first")

    existing = record("second").insert()

    assert existing is not None
    assert (existing.seed, read().seed) == ("first", "first")


def test_scopes_are_not_confused(clock: FakeClock) -> None:
    ids = {IdempotencyRecord.new(scope, "", "").id for scope in (("a", "bc"), ("ab", "c"), ("a", "b", "c"), ("abc",))}

    assert len(ids) == 4
    assert all(record_id.startswith("http#") for record_id in ids)


def test_record_of_a_repeated_call_is_the_attempts_own(clock: FakeClock) -> None:
    first = insert("first")

    assert first.insert() is None
    assert read().seed == "first"


def test_late_repeated_call_does_not_undo_the_completion(clock: FakeClock) -> None:
    """A network can deliver a request after its client has given it up and repeated it."""
    first = insert()
    late = IdempotencyRecord(**first.attribute_values)
    first.complete()

    existing = late.insert()

    assert existing is not None
    assert existing.is_done
    assert read().is_done


@pytest.mark.parametrize(("seconds", "is_new"), [(24 * 3600 - 1, False), (24 * 3600, True)])
def test_expired_record_is_replaced(clock: FakeClock, seconds: int, is_new: bool) -> None:
    insert("first").complete()
    clock.now += seconds

    assert (record("second").insert() is None) == is_new
    assert (read().seed, read().is_done) == (("second", False) if is_new else ("first", True))


@pytest.mark.parametrize(("seconds", "is_over"), [(0, False), (34, False), (35, True)])
def test_lease_ends_after_35_seconds(clock: FakeClock, seconds: int, is_over: bool) -> None:
    insert("first")
    clock.now += seconds

    assert read().take_over() == is_over
    assert read().seed == "first"


def test_one_of_two_attempts_takes_over(clock: FakeClock) -> None:
    insert()
    clock.now += 35
    first, second = read(), read()

    assert [first.take_over(), second.take_over()] == [True, False]
    assert read().until == clock.now + 35


def test_take_over_prolongs_the_record(clock: FakeClock) -> None:
    insert()
    clock.now += 1000

    assert read().take_over()
    assert read().expiration == clock.now + 24 * 3600


def test_completed_record_is_not_taken_over(clock: FakeClock) -> None:
    first = insert()
    clock.now += 35
    second = read()
    first.complete()

    assert not second.take_over()
    assert read().is_done


def test_record_of_another_body_is_not_taken_over(clock: FakeClock) -> None:
    """Between reading and taking over, a refusal deletes the record, and a request with another body fails."""
    first = insert("first", "{}")
    clock.now += 35
    second = read()
    first.forget()
    insert("other", '{"title": "Other"}').release()

    assert not second.take_over()
    assert (read().seed, read().until) == ("other", 0)


def test_released_record_is_taken_over_at_once(clock: FakeClock) -> None:
    insert("first").release()

    assert read().take_over()
    assert read().seed == "first"


def test_deleted_record_is_not_taken_over(clock: FakeClock) -> None:
    first = insert()
    clock.now += 35
    second = read()
    first.forget()

    assert not second.take_over()
    assert stored() is None


@pytest.mark.parametrize("end", ["complete", "release", "forget"])
def test_attempt_that_lost_its_lease_changes_nothing(clock: FakeClock, end: str) -> None:
    first = insert()
    clock.now += 35
    second = read()
    second.take_over()

    getattr(first, end)()

    assert read().attempt == second.attempt
    assert (read().is_done, read().until) == (False, clock.now + 35)


@pytest.mark.parametrize("end", ["complete", "release", "forget"])
def test_attempt_ends_twice(clock: FakeClock, end: str) -> None:
    """As a repeated call does."""
    first = insert()

    for _ in range(2):
        getattr(first, end)()

    row = stored()
    assert (row is None) == (end == "forget")
    assert row is None or row.is_done == (end == "complete")
