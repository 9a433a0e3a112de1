"""Fixtures: a real deploy into a local AWS, and clients that call it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from devstack.stack import free_ports
from tests.browser import _chromium as _chromium
from tests.browser import browser as browser
from tests.clients import PASSWORD, Actor, Api, log_in, register, unique
from tests.e2e.account_page import AccountPage, FakeApi, fake_api
from tests.localstack_stage import deployed_localstack
from tests.stack import RunningStack, copy_project
from tests.waiting import eventually


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Select the tests of the backend."""
    own = [item for item in items if item.path.parent == Path(__file__).parent]
    on_localstack = config.getoption("backend") == "localstack"
    deselected = [item for item in own if _runs_on_localstack(item) is not on_localstack and not _runs_on_both(item)]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in set(deselected)]


def _runs_on_localstack(item: pytest.Item) -> bool:
    if item.get_closest_marker("localstack"):
        return True
    parameters = getattr(item, "callspec", None)
    is_embedded = parameters is not None and parameters.params.get("api") == "chalice local"
    return bool(item.get_closest_marker("contract")) and not item.get_closest_marker("embedded") and not is_embedded


def _runs_on_both(item: pytest.Item) -> bool:
    return _runs_on_localstack(item) and not item.get_closest_marker("localstack")


@pytest.fixture(scope="package")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The stack that all of these tests call."""
    folder = copy_project(tmp_path_factory.mktemp("stack"))
    if request.config.getoption("backend") == "localstack":
        stack: RunningStack = deployed_localstack(folder)
    else:
        stack = RunningStack(folder)
        stack.start()
    yield stack
    assert stack.stop() == 0, stack.output()


@pytest.fixture
def account_api() -> Iterator[FakeApi]:
    """A fake API for the account page. It accepts everything until a test sets another answer."""
    with fake_api() as api:
        yield api


@pytest.fixture
def page(account_api: FakeApi, browser: webdriver.Chrome) -> Iterator[AccountPage]:
    """The account page with the fake API. At the end, the console must have no messages."""
    page = AccountPage(browser, account_api.url)
    yield page
    assert page.messages == []


@pytest.fixture(scope="package")
def chalice_local(stack: RunningStack) -> Iterator[Api]:
    """`make local`, in addition to the stack."""
    [port] = free_ports(1)
    environment = os.environ | {"LOCAL_PORT": str(port)}
    log = stack.folder / "local.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "devstack.chalice_local"],
            cwd=stack.folder,
            env=environment,
            stdout=output,
            stderr=output,
        )
    api = Api(f"http://127.0.0.1:{port}")
    try:
        eventually(lambda: _answers(api) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield api
    finally:
        process.terminate()
        process.wait(10)


def _answers(api: Api) -> bool:
    try:
        return api.call("GET", "/api/health/").ok
    except OSError:
        return False


@pytest.fixture
def api(request: pytest.FixtureRequest, stack: RunningStack) -> Api:
    """The API under test: through the deployed gateway, or as `apis.EACH_API` parametrizes it."""
    if getattr(request, "param", "gateway") == "gateway":
        return stack.api
    local: Api = request.getfixturevalue("chalice_local")
    return local


@pytest.fixture
def gateway(stack: RunningStack) -> Api:
    """The API through the deployed gateway, for tests that do not apply to `chalice local`."""
    return stack.api


@pytest.fixture(scope="package")
def _teacher(stack: RunningStack) -> Actor:
    return register(stack.api, "instructor")


@pytest.fixture(scope="package")
def _admin(stack: RunningStack) -> Actor:
    username = unique("admin")
    made = stack.manage("create-admin", username, f"{username}@example.org", EDUFLOW_PASSWORD=PASSWORD)
    assert made.returncode == 0, made.stderr
    return log_in(stack.api, username)


@pytest.fixture
def teacher(_teacher: Actor, api: Api) -> Actor:
    """An instructor, at the API under test."""
    return Actor(api, _teacher.username, _teacher.token)


@pytest.fixture
def admin(_admin: Actor, api: Api) -> Actor:
    """An admin, at the API under test."""
    return Actor(api, _admin.username, _admin.token)


@pytest.fixture
def student(stack: RunningStack, api: Api) -> Actor:
    """A new student, at the API under test."""
    student = register(stack.api, "student")
    return Actor(api, student.username, student.token)


@pytest.fixture
def anonymous(api: Api) -> Actor:
    """An anonymous client, at the API under test."""
    return Actor(api)


@pytest.fixture
def own_copy(tmp_path: Path) -> RunningStack:
    """A stack that is not started, for tests of its start and stop. Its path has characters that need quotes."""
    return RunningStack(copy_project(tmp_path / "a student's folder"))
