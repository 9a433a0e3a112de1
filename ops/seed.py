"""Demo data: users, courses with lessons, and three weeks of enrollments."""

import contextlib
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from chalicelib.core import clock
from chalicelib.core.caller import Caller
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.core.errors import Conflict
from chalicelib.core.roles import Role
from chalicelib.models.course_listings import CourseListing
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import AlreadyEnrolled, Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.lessons import Lesson
from chalicelib.models.users import User
from chalicelib.services import accounts, courses, lessons, places, reports

ADMIN = "admin"
_INSTRUCTORS = ["grace.h", "katherine.j", "alan_t", "emmy.n"]
_STUDENTS = [
    "ada", "barbara", "claude.s", "dorothy", "edsger", "frances", "george", "hedy", "ida", "john_b", "karen",
    "linus", "margaret", "niklaus", "olga", "peter", "radia", "shafi", "tim_bl", "ursula", "vint", "whitfield",
]  # fmt: skip
_FULL = "Algebra in a small group"
_OPENS_TOMORROW = "A week of combinatorics"
_PLACES = 3
_COURSES: list[tuple[str, str, int, bool, list[str]]] = [
    (
        "Linear algebra, from vectors to eigenvalues",
        "What matrices do to space, with pencil, paper and a little Python.",
        4990,
        True,
        ["Vectors and spans", "Matrices as maps", "Determinants", "Bases and change of basis", "Eigenvalues"],
    ),
    (
        "Python for people who count",
        "Tables, plots and honest statistics for the lab and the office.",
        0,
        True,
        ["First steps", "Lists, dicts, loops", "Reading files", "Plots that tell", "A small report"],
    ),
    (
        "Databases without fear",
        "From a spreadsheet to a schema: keys, joins, transactions.",
        7900,
        True,
        ["Why not a spreadsheet?", "Keys", "Joins", "Transactions", "Indexes"],
    ),
    (
        "The art of the proof",
        "Induction, contradiction, and when a picture is enough.",
        2500,
        True,
        ["Statements", "Direct proofs", "Contradiction", "Induction"],
    ),
    (
        "Compilers by hand",
        "A language of your own in six evenings.",
        12000,
        True,
        ["Words", "Sentences", "Trees", "Meaning", "Code", "Speed"],
    ),
    (
        "Drawing for engineers",
        "Sketches that explain.",
        1550,
        True,
        ["Lines", "Boxes in space", "Light", "Explaining with three pictures"],
    ),
    (_FULL, "Four evenings at the blackboard, for three students.", 9000, True, ["Groups", "Rings", "Fields"]),
    (_OPENS_TOMORROW, "A week of daily exercises.", 0, True, ["Monday", "Tuesday", "Wednesday"]),
    ("Networks from the wire up", "Still being written.", 6000, False, ["Bits on a wire", "Frames"]),
    ("Group theory", "A draft, for next term.", 3500, False, ["Symmetry"]),
]
_DAYS = 21
_LONGEST_LESSON = 45


class AlreadySeededError(Exception):
    """The stage has the demo data already."""


def seed(password: str, say: Callable[[str], object]) -> None:
    """Create the demo data, or what an interrupted call has not created.

    All accounts have this password. ``say`` is called with each step.

    Raises:
        AlreadySeededError: The stage has all of the demo data.
    """
    if Identity.find_user_id(ADMIN):
        raise AlreadySeededError
    generator = random.Random(2026)  # the same data on every stage
    opening = clock.now() - timedelta(days=_DAYS)
    say("instructors and students")
    instructors = [_register(name, Role.INSTRUCTOR, password, opening) for name in _INSTRUCTORS]
    students = [_register(name, Role.STUDENT, password, _random_time(generator, opening)) for name in _STUDENTS]
    say("courses and lessons")
    published = _create_courses(generator, instructors, opening)
    say("enrollments")
    _enroll(generator, students, [published[title] for title in published if title not in (_FULL, _OPENS_TOMORROW)])
    _fill(students[: _PLACES + 1], published[_FULL])
    # One student has not verified the email address, and another has stopped all emails but those about the account.
    User(students[-1].id).update([User.email_verified.set(False)])
    User.set_email_preferences(students[-2].id, set(EmailPreference), set())
    say("daily reports")
    for _ in reports.regenerate_from(opening.date(), clock.now()):  # the stage may have reports of these days
        pass
    accounts.create_admin(ADMIN, "admin@example.org", password)  # last: it marks the data as complete


def _register(name: str, role: Role, password: str, now: datetime) -> User:
    user_id = Identity.find_user_id(name)
    existing = User.find(user_id) if user_id else None
    return existing or accounts.register(name, f"{name}@example.org", password, role, now=now)


def _random_time(generator: random.Random, since: datetime) -> datetime:
    return since + timedelta(seconds=generator.uniform(0, (clock.now() - since).total_seconds()))


def _create_courses(generator: random.Random, instructors: list[User], opening: datetime) -> dict[str, str]:
    """Create the courses with their lessons, and return the IDs of those that are published, by title."""
    published = {}
    settings: dict[str, dict[str, Any]] = {
        _FULL: {"capacity": _PLACES, "waitlist": 10},
        _OPENS_TOMORROW: {"opens_at": clock.format_timestamp(clock.now() + timedelta(days=1))},
    }
    for number, (title, description, cents, is_published, titles) in enumerate(_COURSES):
        owner = instructors[number % len(instructors)]
        caller = Caller(owner.id, owner.username, Role.INSTRUCTOR, session_id="demo")
        created_at = opening + timedelta(days=number, hours=generator.uniform(1, 9))
        fields: dict[str, Any] = settings.get(title, {}) | {
            "title": title,
            "description": description,
            "price_cents": cents,
            "is_published": is_published,
        }
        course = _find_course(owner.id, title) or courses.create(caller, fields, created_at)
        existing = {lesson.title for lesson in Lesson.all_of_course(course.id)}
        for order, lesson in enumerate(titles, start=1):
            fields = {
                "title": lesson,
                "content": f"{lesson}: what it is, two examples, and an exercise.",
                "duration_min": generator.randrange(10, _LONGEST_LESSON, 5),
                "order_index": order,
            }
            if lesson not in existing:
                lessons.create(caller, course.id, fields, created_at + timedelta(minutes=order))
        if is_published:
            published[title] = course.id
    return published


def _find_course(owner_id: str, title: str) -> Course | None:
    candidates = (Course.find(row.course_id) for row in CourseListing.of_owner(owner_id, ""))
    return next((course for course in candidates if course and course.title == title), None)


def _enroll(generator: random.Random, students: list[User], course_ids: list[str]) -> None:
    """Create past enrollments, whose emails are not pending."""
    for student in students:
        joined = clock.parse_timestamp(student.date_joined)
        for course_id in generator.sample(course_ids, generator.randint(1, 4)):
            created_at = clock.format_timestamp(_random_time(generator, joined))
            enrollment = Enrollment.new(student.id, course_id, created_at, "demo")
            enrollment.email_pending = None
            with contextlib.suppress(AlreadyEnrolled):  # by an interrupted call
                enrollment.insert()


def _fill(students: list[User], course_id: str) -> None:
    """Let students take the places of a course, and the last one wait."""
    for student in students:
        with contextlib.suppress(Conflict):  # by an interrupted call
            enrollment, _ = places.join(student.id, course_id, clock.timestamp(), None, can_wait=True)
            if not enrollment.is_waiting:
                enrollment.mark_email_sent()
