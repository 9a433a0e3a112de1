"""CPU time of requests in this process, from API Gateway's event to the response, against floors of the same run.

The cache is a real Valkey, and DynamoDB is the emulator in another process. A floor is what remains if the
application's own code costs nothing: a Chalice app with one route, a command to the cache, or the same calls to
DynamoDB by botocore alone, with the parameters that the application's request had.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import botocore.session
from chalice.app import Chalice

from app import app
from benchmarks.events import event
from benchmarks.measuring import Calls, cpu_milliseconds, is_cache_state, markdown_table, median_ratio, recorded_calls
from chalicelib.adapters.cache.client import client
from chalicelib.adapters.dynamodb import connection
from chalicelib.core import ids
from chalicelib.core.roles import Role
from chalicelib.models.identities import Identity
from chalicelib.models.users import User
from chalicelib.security import passwords
from chalicelib.services import accounts, lessons
from tests.clients import PASSWORD
from tests.factories import create_course, create_token, create_user

COURSES = 25
DESCRIPTION = "Words of a description. " * 20
KEYWORDS = 40
MINIMAL, HEALTH, MGET = "a Chalice app with one route", "health check", "one `MGET`"
_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)  # stay at the head of the lists, whatever is created by a measurement


@dataclass(frozen=True)
class Case:
    """A request with its floor, and its target in milliseconds or as a ratio to the floor."""

    name: str
    call: Callable[[], Any]
    floors: tuple[str, ...]
    max_milliseconds: float | None = None
    max_ratio: float | None = None


def report() -> str:
    """Return the measurements, as Markdown."""
    data = _Fixture()
    floors, cases = _floors_and_cases(data)
    calls = {**floors, **{case.name: case.call for case in cases}}
    measured = cpu_milliseconds(calls)
    rows = [[name, f"{statistics.median(measured[name]):.3f}", "", "", "", "", ""] for name in floors]
    for case in cases:
        sums = [sum(round_) for round_ in zip(*(measured[floor] for floor in case.floors), strict=True)]
        rows.append(_row(case, statistics.median(measured[case.name]), sums, median_ratio(measured[case.name], sums)))
    columns = ["Request", "CPU ms", "floor", "floor ms", "ratio", "target", "met"]
    return markdown_table(columns, rows)


def fixture_cases() -> list[Case]:
    """Return the requests, with the rows that they read and the entries of the cache created."""
    return _floors_and_cases(_Fixture())[1]


def _row(case: Case, milliseconds: float, floors: list[float], ratio: float) -> list[str]:
    target, is_met = "", ""
    if case.max_milliseconds is not None:
        target, is_met = f"{case.max_milliseconds} ms", _yes(milliseconds <= case.max_milliseconds)
    if case.max_ratio is not None:
        target, is_met = f"{case.max_ratio} ×", _yes(ratio <= case.max_ratio)
    floor = " + ".join(case.floors)
    return [case.name, f"{milliseconds:.3f}", floor, f"{statistics.median(floors):.3f}", f"{ratio:.2f}", target, is_met]


def _yes(is_met: bool) -> str:
    return "yes" if is_met else "no"


class _Fixture:
    """An instructor with courses, the first of which has lessons, and a student."""

    def __init__(self) -> None:
        self.teacher, self.author = create_user(Role.INSTRUCTOR), create_user(Role.INSTRUCTOR)
        self.courses = [
            create_course(self.teacher, _FUTURE + timedelta(hours=n), title=f"Course {n}", description=DESCRIPTION)
            for n in range(COURSES)
        ]
        self.student = create_user(Role.STUDENT)
        self.username = accounts.register("benchmark", "benchmark@example.org", PASSWORD, Role.STUDENT).username
        self.token, self.teacher_token = create_token(self.student), create_token(self.teacher)
        fields = {"title": "A lesson", "content": DESCRIPTION, "duration_min": 5}
        for n in range(20):
            lessons.create(self.teacher, self.courses[0].id, fields | {"order_index": n})


def _floors_and_cases(data: _Fixture) -> tuple[Calls, list[Case]]:
    def request(*arguments: Any, **options: Any) -> Callable[[], Any]:
        sent = event(*arguments, **options)
        assert app(sent, None)["statusCode"] < 300
        return lambda: app(sent, None)

    words = " ".join(f"word{n}" for n in range(KEYWORDS - 2))
    new_course = {"title": "A title", "description": words, "is_published": True}
    one_list, lessons_query = "/api/v1/courses", {"course": data.courses[0].id}
    list_of_instructor = request("GET", one_list, token=data.teacher_token)
    profile = request("GET", "/api/v1/auth/me", caller=data.student)
    create = request("POST", one_list, caller=data.author, body=new_course)
    login = request("POST", "/api/v1/auth/login", body={"username": data.username, "password": PASSWORD})
    minimal, password_hash = _minimal_app(), _password_hash(data.username)
    health = event("GET", "/api/health")
    floors = {
        MINIMAL: lambda: minimal(health, None),
        MGET: lambda: client().mget("a", "b"),
        "its calls by botocore": _replay(list_of_instructor),
        "its `BatchGetItem` by botocore": _replay(profile),
        "its `TransactWriteItems` by botocore": _replay_create(create),
        "the password hash": lambda: passwords.verify_password(PASSWORD, password_hash),
    }
    instructor_floor, profile_floor, create_floor, login_floor = [*floors][2:]
    hit = (MINIMAL, MGET)
    cases = [
        Case(HEALTH, request("GET", "/api/health"), (MINIMAL,)),
        Case("course, hit", request("GET", f"{one_list}/{{course_id}}", course_id=data.courses[0].id), hit, 0.16),
        Case("list of 20 courses, hit", request("GET", one_list), hit, 0.20),
        Case("list of 20 courses, hit, with a token", request("GET", one_list, token=data.token), hit, 0.35),
        Case("20 lessons of a course, hit", request("GET", "/api/v1/lessons", query=lessons_query), hit),
        Case("instructor's list of 20 courses", list_of_instructor, (instructor_floor,), max_ratio=1.3),
        Case("own profile", profile, (profile_floor,), max_ratio=1.3),
        Case(f"create a published course with {KEYWORDS} words", create, (create_floor,), 3.5),
        Case("login", login, (login_floor,)),
    ]
    return floors, cases


def _minimal_app() -> Chalice:
    app = Chalice("minimal")

    @app.route("/api/health")
    def get_health() -> dict[str, str]:
        return {"status": "ok"}

    return app


def _password_hash(username: str) -> str:
    user = User.find(Identity.find_user_id(username) or "")
    assert user
    return str(user.password_hash)


@cache
def _botocore_client() -> Any:
    """Return a client with the settings of the application's and the parser of botocore, on a session of its own."""
    return botocore.session.get_session().create_client("dynamodb", config=connection().client.meta.config)


def _replay(request: Callable[[], Any]) -> Callable[[], None]:
    """Return a function that repeats a request's calls to DynamoDB."""
    with recorded_calls() as recorded:
        request()
    calls = [call for call in recorded if not is_cache_state(call)]
    make_call = _botocore_client()._make_api_call

    def replay() -> None:
        for name, parameters in calls:
            make_call(name, parameters)

    assert calls
    return replay


def _replay_create(request: Callable[[], Any]) -> Callable[[], object]:
    """Return a function that repeats the transaction of a new course, each time with another ID."""
    with recorded_calls() as recorded:
        course_id = json.loads(request()["body"])["id"]
    [parameters] = [parameters for name, parameters in recorded if name == "TransactWriteItems"]
    template = json.dumps(parameters | {"ClientRequestToken": "TOKEN"})
    make_call = _botocore_client()._make_api_call

    def prepared() -> dict[str, Any]:
        new_id = ids.new_id()
        changed: dict[str, Any] = json.loads(template.replace(course_id, new_id).replace("TOKEN", f"token-{new_id}"))
        return changed

    pool = [prepared() for _ in range(2000)]  # outside of the measured time
    return lambda: make_call("TransactWriteItems", pool.pop())
