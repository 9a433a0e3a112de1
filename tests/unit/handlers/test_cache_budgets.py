"""How many bytes a hit moves between the cache and a process: what ElastiCache bills, and what a hit has to parse."""

from benchmarks import costs
from chalicelib.core.roles import Role
from chalicelib.services import lessons
from infra.config import PROJECT
from tests.factories import create_course, create_user
from tests.fault_injection.valkey import Valkey
from tests.unit.handlers.conftest import ApiClient

ENGLISH = (PROJECT / "docs" / "decisions.md").read_text(encoding="utf-8")  # repeated text would be compressed more


def text(number: int) -> str:
    """Return 600 characters that are in no other text."""
    return ENGLISH[600 * number : 600 * (number + 1)]


def test_hits_move_at_most_the_bytes_that_costs_assume(valkey: Valkey, http: ApiClient) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    created = [create_course(teacher, title=f"Course {number}", description=text(number)) for number in range(20)]

    assert_moved(_bytes_of_hit(valkey, http, f"/courses/{created[0].id}"), costs.COURSE_KB)
    assert_moved(_bytes_of_hit(valkey, http, "/courses"), costs.LIST_KB)


def test_lessons_move_at_most_the_bytes_that_costs_assume(valkey: Valkey, http: ApiClient) -> None:
    teacher = create_user(Role.INSTRUCTOR)
    course = create_course(teacher)
    for number in range(20):
        fields = {"title": "A lesson", "content": text(number), "duration_min": 5, "order_index": number}
        lessons.create(teacher, course.id, fields)

    assert_moved(_bytes_of_hit(valkey, http, f"/lessons?course={course.id}"), costs.LESSONS_KB)


def assert_moved(moved: int, kilobytes: int) -> None:
    """Assert that the number of kilobytes is that of the costs."""
    assert 1000 * (kilobytes - 1) < moved <= 1000 * kilobytes


def _bytes_of_hit(valkey: Valkey, http: ApiClient, path: str) -> int:
    http.call("GET", path)
    start = _bytes_moved(valkey)
    of_the_count = _bytes_moved(valkey) - start
    response = http.call("GET", path)
    moved = _bytes_moved(valkey) - start - 2 * of_the_count
    assert response.headers["x-cache"] == "hit"
    return moved


def _bytes_moved(valkey: Valkey) -> int:
    """Return the bytes that the server received and sent, without its response to this."""
    stats = valkey.client.info("stats")
    return int(stats["total_net_input_bytes"]) + int(stats["total_net_output_bytes"])
