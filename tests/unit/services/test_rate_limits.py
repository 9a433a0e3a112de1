"""Rate limits of registrations and enrollments: how many get through, what each costs, and when it ends."""

import pytest

from chalicelib.core import retries
from chalicelib.core.errors import Conflict, TooManyAttempts
from chalicelib.core.roles import Role
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.throttles import Throttle
from chalicelib.security import passwords
from chalicelib.services import accounts, eligibility, enrollments, rate_limits, withdrawals
from tests.clients import PASSWORD, unique
from tests.factories import create_course, create_user
from tests.unit.fake_clock import FakeClock

HOME = "192.0.2.7"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(1_000_000.0)
    for module in (rate_limits, eligibility, withdrawals, retries):
        monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("unknown", "unknown", True),
    ],
)
def test_ipv6_address_counts_as_its_network(aws: None, one: str, other: str, same: bool) -> None:
    assert (rate_limits.network_of(one) == rate_limits.network_of(other)) is same


def test_301st_registration_of_an_address_in_an_hour_is_throttled(aws: None, clock: FakeClock) -> None:
    quick_hash = "no hash"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "hash_password", lambda password: quick_hash)

        def registers(address: str = HOME) -> str:
            name = unique("ada")
            try:
                accounts.register(name, f"{name}@example.org", PASSWORD, Role.STUDENT, client_ip=address)
            except TooManyAttempts as error:
                return f"{error.retry_after} {error.detail}"
            return "in"

        for _ in range(299):
            rate_limits.count_registration(HOME)
        assert registers() == "in"
        clock.now += 60
        assert registers() == "3540 Too many registrations from this address. Retry later."
        assert registers("192.0.2.8") == "in"
        clock.now += 3540
        assert registers() == "in"


def test_61st_enrollment_of_a_student_in_an_hour_is_throttled(aws: None, clock: FakeClock) -> None:
    teacher, student, other = (create_user(role) for role in (Role.INSTRUCTOR, Role.STUDENT, Role.STUDENT))
    monday = [create_course(teacher) for _ in range(62)]

    for course in monday[:60]:
        enrollments.enroll(student, course.id)
    with pytest.raises(TooManyAttempts, match="Too many enrollments") as throttled:
        enrollments.enroll(student, monday[60].id)
    assert throttled.value.retry_after == 3600
    with pytest.raises(Conflict):
        enrollments.enroll(student, monday[0].id)
    assert Enrollment.find_by_student_and_course(student.id, monday[60].id) is None
    enrollments.enroll(other, monday[60].id)
    clock.now += 3600
    enrollments.enroll(student, monday[60].id)
    window = Throttle.find(f"enrollments#{student.id}")
    assert window is not None and window.reserved == 1


def test_student_enrolls_again_three_times_a_day(aws: None, clock: FakeClock) -> None:
    teacher, student = create_user(Role.INSTRUCTOR), create_user(Role.STUDENT)
    course, other = create_course(teacher), create_course(teacher)

    enrollment = enrollments.enroll(student, course.id)
    for _ in range(3):
        enrollments.withdraw(student, enrollment.id)
        enrollment = enrollments.enroll(student, course.id)
    enrollments.withdraw(student, enrollment.id)
    clock.now += 3600
    with pytest.raises(TooManyAttempts, match="You left this course too often") as throttled:
        enrollments.enroll(student, course.id)
    assert throttled.value.retry_after == 23 * 3600
    enrollments.withdraw(student, enrollments.enroll(student, other.id).id)
    clock.now += 23 * 3600
    enrollment = enrollments.enroll(student, course.id)
    enrollments.withdraw(student, enrollment.id)
    window = Throttle.find(f"withdrawals#{student.id}#{course.id}")
    assert window is not None and window.reserved == 1, "a new window"


def test_enrolling_is_one_call(aws: None, dynamodb_calls: list[str]) -> None:
    teacher, student = create_user(Role.INSTRUCTOR), create_user(Role.STUDENT)
    course = create_course(teacher)
    dynamodb_calls.clear()

    enrollments.enroll(student, course.id)

    assert dynamodb_calls == ["GetItem", "TransactWriteItems"], "the course, which a cache would have, and the rest"
