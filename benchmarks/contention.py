"""Many students enroll into one course at the same time, and many clients read one list, in threads of one process.

Throughput is for information: the threads share one processor core with each other, and the emulator serves one call
at a time, so that no transactions conflict. On DynamoDB, two transactions can conflict if they have an item in common:
the table counts those items. Retries are calls that repeat another one. The list is read with an empty cache first:
one client loads it, and the others wait for that or bypass the cache.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measuring import DynamoDbCall, is_cache_state, markdown_table, recorded_calls
from chalicelib.adapters.dynamodb import connection
from chalicelib.core.caller import Caller
from chalicelib.core.pagination import PageRequest
from chalicelib.core.roles import Role
from chalicelib.services import courses, enrollments
from tests.factories import course_ids, create_course, create_user
from tests.fault_injection.school import create_students

STUDENTS, ENROLLING_THREADS = 1_000, 50
CLIENTS, READS_PER_CLIENT = 200, 20
_COLUMNS = ["Load", "operations", "errors", "calls to DynamoDB", "retries", "items in common", "per second"]


def report() -> str:
    """Return the measurements, as Markdown."""
    teacher = create_user(Role.INSTRUCTOR)
    course_id = create_course(teacher).id
    for n in range(25):
        create_course(teacher, title=f"Course {n}", description="Words of a description. " * 20)
    return markdown_table(_COLUMNS, [_enroll(course_id), _read_list()])


def _enroll(course_id: str) -> list[str]:
    students = create_students(STUDENTS)
    courses.get(None, course_id)  # cached, as the course of an opening hour is

    def enroll(student: Caller) -> None:
        enrollments.enroll(student, course_id)

    with recorded_calls() as calls:
        errors, seconds = _in_threads(enroll, students, ENROLLING_THREADS)
    in_common = sum(count > 1 for count in _transactions_by_item(calls).values())
    return _row(f"{STUDENTS:,} students enroll into one course", STUDENTS, errors, calls, in_common, seconds)


def _read_list() -> list[str]:
    start = threading.Barrier(CLIENTS)

    def read(_: int) -> None:
        start.wait()
        for _ in range(READS_PER_CLIENT):
            page = courses.list_courses(None, PageRequest(20), ordering="-created_at", own=False)
            assert len(course_ids(page)) == 20

    with recorded_calls() as calls:
        errors, seconds = _in_threads(read, range(CLIENTS), CLIENTS)
    reads = CLIENTS * READS_PER_CLIENT
    return _row(f"{CLIENTS} clients read one list, {READS_PER_CLIENT} times each", reads, errors, calls, 0, seconds)


def _row(
    name: str, operations: int, errors: int, calls: list[DynamoDbCall], in_common: int, seconds: float
) -> list[str]:
    counted = [call for call in calls if not is_cache_state(call)]
    writes = [params for operation, params in counted if operation == "TransactWriteItems"]
    retries = max(0, len(writes) - operations) if writes else 0
    numbers = (operations, errors, len(counted), retries, in_common, round(operations / seconds))
    return [name, *(f"{number:,}" for number in numbers)]


def _in_threads(work: Callable[[Any], None], items: Any, threads: int) -> tuple[int, float]:
    """Return the number of errors, and the seconds that all took."""
    errors = Counter[str]()

    def attempt(item: Any) -> None:
        try:
            work(item)
        except Exception as error:
            errors[type(error).__name__] += 1

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        [*pool.map(attempt, items)]
    if errors:
        print(dict(errors))
    return errors.total(), time.perf_counter() - started


def _transactions_by_item(calls: list[DynamoDbCall]) -> "Counter[str]":
    """Return the number of transactions in which each item is."""
    counts = Counter[str]()
    for operation, params in calls:
        if operation == "TransactWriteItems":
            counts.update({_key(item) for item in params["TransactItems"]})
    return counts


def _key(item: dict[str, Any]) -> str:
    """Return the table and key of an item of a transaction."""
    [(kind, write)] = item.items()
    meta = connection().get_meta_table(write["TableName"])
    names = sorted(filter(None, (meta.hash_keyname, meta.range_keyname)))
    key = write["Item"] if kind == "Put" else write["Key"]
    return f"{write['TableName']} {[key[name] for name in names]}"
