"""`make run` itself: its output, its data, and that it leaves no process."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from devstack.stack import free_ports
from tests.clients import PASSWORD, Actor, Api, log_in, register
from tests.stack import RunningStack, processes_of
from tests.waiting import eventually


def test_make_run_prints_all_urls(stack: RunningStack) -> None:
    for words in (f"{stack.api.url}/api/v1/", f"{stack.api.url}/api/docs/", "/_ministack/ses/messages", "grace.h"):
        assert stack.has_logged(words)


def test_root_redirects_to_the_documentation(stack: RunningStack) -> None:
    page = requests.get(f"{stack.api.url}/", timeout=30)

    assert (page.status_code, page.url) == (200, f"{stack.api.url}/api/docs/")


def test_demo_data_is_complete(stack: RunningStack) -> None:
    accounts = [log_in(stack.api, name, "learn-with-eduflow") for name in ("admin", "grace.h", "ada")]

    courses = Actor(stack.api).get("/courses/?limit=100").json()["results"]
    again = stack.manage("demo")

    assert [actor.get("/auth/me/").json()["role"] for actor in accounts] == ["admin", "instructor", "student"]
    assert [course["lessons_count"] for course in courses if course["title"] == "Compilers by hand"] == [6]
    assert (again.returncode, again.stderr) == (0, "The demo data exists already.\n")
    assert "learn-with-eduflow" in again.stdout


def test_restart_keeps_data_and_leaves_no_process(own_copy: RunningStack) -> None:
    own_copy.start()
    teacher = register(own_copy.api, "instructor")
    course = teacher.create_course()
    assert own_copy.stop(signal.SIGINT) == 0
    assert processes_of(own_copy.folder) == []

    statuses = _statuses_during(own_copy.start, own_copy.api)
    try:
        assert statuses[-1] == 200
        assert statuses[0] == 503, "before the deploy"
        assert Actor(own_copy.api).get(f"/courses/{course['id']}/").json() == course
        assert log_in(own_copy.api, teacher.username, PASSWORD).get("/auth/me/").status_code == 200
        assert own_copy.has_batch_item_failures(), "after a redeploy"
        _keys_that_others_know_are_replaced(own_copy)
    finally:
        assert own_copy.stop(signal.SIGTERM) == 0
    assert processes_of(own_copy.folder) == []


def _statuses_during(start: Callable[[], None], api: Api) -> list[int]:
    """Return the statuses of the API's health while the stack starts, and after it."""
    statuses = []
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start)
        while not starting.done():
            time.sleep(0.2)
            with contextlib.suppress(requests.ConnectionError):
                statuses.append(requests.get(f"{api.url}/api/health/", timeout=60).status_code)
        starting.result()
    return [*statuses, requests.get(f"{api.url}/api/health/", timeout=60).status_code]


def _keys_that_others_know_are_replaced(stack: RunningStack) -> None:
    """Tested here because the command logs all users out."""
    before = stack.signing_keys()

    replaced = stack.manage("rotate-keys", "--compromised")

    assert replaced.returncode == 0, replaced.stderr
    [(new, key)] = stack.signing_keys().items()
    assert (new in before, key in before.values()) == (False, False)
    assert key not in replaced.stdout + replaced.stderr


def test_failed_deploy_leaves_no_process(own_copy: RunningStack) -> None:
    (own_copy.folder / "app.py").write_text("raise RuntimeError('half a line of code')")

    failed = _run(own_copy)

    assert failed.returncode == 1
    assert failed.stderr.count("\n") <= 2
    assert "`chalice deploy` failed" in failed.stderr
    assert "half a line of code" in failed.stderr
    assert f"{own_copy.folder}/app.py, line 1" in failed.stderr
    assert processes_of(own_copy.folder) == []


def test_interrupted_start_leaves_no_process(own_copy: RunningStack) -> None:
    (own_copy.folder / "app.py").write_text("import time; time.sleep(600)")
    own_copy.launch()
    eventually(lambda: own_copy.has_logged("Deploying"))

    assert own_copy.stop(signal.SIGTERM) == 0
    assert processes_of(own_copy.folder) == []


def test_local_aws_stops_with_its_parent(tmp_path: Path) -> None:
    aws_port, api_port, cache_port = free_ports(3)
    command = [sys.executable, "-m", "devstack.server", "--stage", "local", "--home", str(tmp_path)]
    command += ["--aws-port", str(aws_port), "--api-port", str(api_port), "--cache-port", str(cache_port)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert server.stdin is not None
    eventually((tmp_path / "valkey" / "valkey.log").exists)

    server.stdin.close()  # as the system does when the parent is killed

    assert server.wait(30) == 0
    assert processes_of(tmp_path) == []


def test_used_port_is_named(own_copy: RunningStack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own_copy.port))
        taken.listen()

        failed = _run(own_copy)

    assert failed.returncode == 1
    assert failed.stderr.strip() == (
        f"Port {own_copy.port} is in use: choose another one, as in `make run PORT={own_copy.port + 1}`."
    )
    assert processes_of(own_copy.folder) == []


def test_equal_ports_are_rejected(own_copy: RunningStack) -> None:
    own_copy.aws_port = own_copy.port

    failed = _run(own_copy)

    assert (failed.returncode, "PORT and AWS_PORT are equal" in failed.stderr) == (1, True)


def test_clean_is_refused_while_the_stack_runs(stack: RunningStack) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "devstack.clean"], cwd=stack.folder, capture_output=True, text=True, check=False
    )

    assert (refused.returncode, "stop it first" in refused.stderr) == (1, True)
    assert (stack.folder / ".local" / "stack.json").exists()


def test_second_run_from_a_folder_is_rejected(stack: RunningStack) -> None:
    second = RunningStack(stack.folder)
    second.log = stack.folder / "second.log"

    failed = _run(second)

    assert failed.returncode == 1
    assert "EduFlow is already running from this folder" in failed.stderr


def test_data_of_another_version_is_rejected(own_copy: RunningStack) -> None:
    data = own_copy.folder / ".local" / "aws"
    data.mkdir(parents=True)

    failed = _run(own_copy)

    assert failed.returncode == 1
    assert failed.stderr.strip() == (
        f"The data in {own_copy.folder / '.local'} is of another version of EduFlow: `make clean` deletes it."
    )
    assert data.exists()


def test_chalice_local_without_a_stack_explains_itself(own_copy: RunningStack) -> None:
    failed = subprocess.run(
        [sys.executable, "-m", "devstack.chalice_local"],
        cwd=own_copy.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert failed.returncode == 1
    assert "make run" in failed.stderr


def _run(stack: RunningStack) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "devstack"],
        cwd=stack.folder,
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
