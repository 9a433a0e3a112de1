"""The stage on LocalStack without Docker (`make test-localstack`): deployed twice, operated, destroyed."""

import json
import re
import signal
from collections.abc import Iterator

import pytest

from infra.functions import FUNCTIONS
from infra.local_stage import DEMO_PASSWORD
from tests.clients import Actor, Api, log_in
from tests.localstack_stage import INSTALLED, LocalStackStage
from tests.stack import RunningStack, copy_project, processes_of
from tests.waiting import eventually

pytestmark = [pytest.mark.localstack, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStackStage]:
    """A LocalStack without a stage."""
    stack = LocalStackStage(copy_project(tmp_path_factory.mktemp("empty")))
    stack.start()
    yield stack
    stack.stop()


def test_stage_deploys_twice_and_is_destroyed(empty: LocalStackStage) -> None:
    for _ in range(2):
        deployed = empty.deploy()
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    mappings = empty.aws("lambda").list_event_source_mappings()["EventSourceMappings"]
    destroyed = empty.destroy()

    assert len(mappings) == len([function for function in FUNCTIONS if function.queue]), (
        "the second deploy keeps the queue workers"
    )
    assert "not on LocalStack's free edition: an unknown path is a 404 problem" in deployed.stdout
    assert destroyed.returncode == 0, destroyed.stdout + destroyed.stderr
    assert empty.aws("lambda").list_functions()["Functions"] == []


def test_links_work_at_the_printed_url(stack: RunningStack, anonymous: Actor) -> None:
    first = anonymous.get("/courses-public/?limit=1").json()
    second = anonymous.get(first["next"])

    assert first["next"].startswith(stack.api.url)
    assert second.status_code == 200
    assert second.json()["results"] != first["results"]


def test_list_unsubscribe_of_an_email_stops_such_emails(stack: RunningStack, teacher: Actor, student: Actor) -> None:
    """By the request of RFC 8058, at the URL that the deploy gave to the email worker."""
    address = f"{student.username}@example.org"
    student.enroll_in(teacher.create_course())
    [enrolled] = eventually(lambda: stack.emails(address, "You are enrolled"))
    [verification] = eventually(lambda: stack.emails(address, "Confirm"))

    [(url, mailto)] = re.findall(r"^<(.+)>, <(.+)>$", enrolled["List-Unsubscribe"])
    stopped = Api("").call("POST", url, data={"List-Unsubscribe": "One-Click"})

    assert url.startswith(f"{stack.api.url}/api/v1/notifications/unsubscribe/?token=")
    assert mailto == "mailto:eduflow@example.org?subject=unsubscribe"
    assert enrolled["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (stopped.status_code, student.get("/auth/me/notifications/").json()["enrollment"]) == (200, False)
    assert verification["List-Unsubscribe"] is None


def test_schedules_are_enabled_and_jobs_run(stack: RunningStack) -> None:
    rules = stack.aws("events").list_rules(NamePrefix="eduflow-localstack")["Rules"]
    cleaned = stack.manage("run", "cleanup")
    reported = stack.manage("run", "daily-report")

    assert {rule["ScheduleExpression"] for rule in rules} == {"rate(1 hour)"}
    assert len(rules) == 2 and all(rule["State"] == "ENABLED" for rule in rules)
    assert cleaned.returncode == 0, cleaned.stderr
    assert reported.returncode == 0, reported.stderr


def test_dead_letters_are_redriven(stack: RunningStack) -> None:
    stack.send_message("deletions-dead", {"target": "user", "id": "0" * 16, "request_id": "redriven"})

    redriven = stack.manage("redrive")

    assert redriven.returncode == 0, redriven.stderr
    assert {"queue": "deletions", "redriven": 1} in [json.loads(line) for line in redriven.stdout.splitlines()]


def test_make_run_serves_demo_data_and_leaves_no_process(empty: LocalStackStage, own_copy: RunningStack) -> None:
    """A copy of the project. It depends on ``empty``, which installs LocalStack."""
    (own_copy.folder / ".local").mkdir()
    (own_copy.folder / ".local" / "localstack").symlink_to(INSTALLED.resolve())
    own_copy.module = "devstack.localstack"
    own_copy.start()
    try:
        [url] = re.findall(r"API +(http://\S+)/api/v1/", own_copy.output())
        student = log_in(Api(url), "ada", DEMO_PASSWORD)
        enrollments = student.get("/enrollments/")
    finally:
        status = own_copy.stop(signal.SIGINT)

    assert enrollments.status_code == 200
    assert enrollments.json()["results"]
    assert status == 0, own_copy.output()
    assert processes_of(own_copy.folder) == []
