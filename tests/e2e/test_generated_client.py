"""A client that openapi-python-client generates from the OpenAPI document runs the story of README.md."""

import subprocess
import sys
from pathlib import Path

import pytest

from chalicelib.core.resources import OPENAPI_FILE
from tests.clients import PASSWORD, unique
from tests.stack import RunningStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

GENERATOR = "openapi-python-client==0.29.1"

# Runs in the generator's environment, with the generated package on its path.
STORY = """
import sys
from edu_flow_client import AuthenticatedClient, Client
from edu_flow_client.api.auth import get_me, login, register
from edu_flow_client.api.courses import create_course, get_course, list_public_courses
from edu_flow_client.api.enrollments import create_enrollment, list_enrollments
from edu_flow_client.models import (
    CourseWrite, EnrollmentCreate, LoginRequest, RegisterRequest, RegisterRequestRole,
)

url, password, teacher, student = sys.argv[1:]
anonymous = Client(base_url=url, raise_on_unexpected_status=True)


def session(username, role):
    account = RegisterRequest(username=username, email=f"{username}@example.org", password=password, role=role)
    assert register.sync(client=anonymous, body=account).username == username
    tokens = login.sync(client=anonymous, body=LoginRequest(username=username, password=password))
    return AuthenticatedClient(base_url=url, token=tokens.access, raise_on_unexpected_status=True)


instructor = session(teacher, RegisterRequestRole.INSTRUCTOR)
learner = session(student, RegisterRequestRole.STUDENT)
assert get_me.sync(client=learner).role == "student"
course = create_course.sync(client=instructor, body=CourseWrite(title="Knots", price="12.50", is_published=True))
assert get_course.sync(course.id, client=anonymous).price == "12.50"
assert course.id in [one.id for one in list_public_courses.sync(client=anonymous, search="knots").results]
enrollment = create_enrollment.sync(client=learner, body=EnrollmentCreate(course=course.id))
assert [one.id for one in list_enrollments.sync(client=learner).results] == [enrollment.id]
print("done")
"""


def test_generated_client_runs_the_story(stack: RunningStack, tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", GENERATOR], check=True)
    generate = [str(python.with_name("openapi-python-client")), "generate", "--path", str(OPENAPI_FILE)]
    generated = subprocess.run(
        [*generate, "--output-path", str(tmp_path / "client"), "--meta", "none"],
        env={"PATH": str(python.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert generated.returncode == 0, generated.stdout + generated.stderr
    assert "WARNING" not in generated.stdout, generated.stdout
    (tmp_path / "client").rename(tmp_path / "edu_flow_client")

    arguments = [stack.api.url, PASSWORD, unique("teacher"), unique("student")]
    story = subprocess.run(
        [str(python), "-c", STORY, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (story.returncode, story.stdout) == (0, "done\n"), story.stderr
