"""The commands of README.md and the requests of docs/story.http, run as they are written."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import requests

from infra.config import PROJECT
from tests.stack import RunningStack
from tests.waiting import eventually

_VARIABLE = re.compile(r"{{([\w.]+)}}")


def test_readme_commands_run(stack: RunningStack) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (PROJECT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    [block] = [block for block in blocks if "login()" in block]
    script = "set -eo pipefail\n" + _at_stack(block, stack).replace(".venv/bin/python", sys.executable)
    script = script.replace("sleep 2", "sleep 10")  # other tests use the machine's cores, too
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    finished = subprocess.run(
        ["bash", "-c", script], cwd=stack.folder, env=environment, capture_output=True, text=True, check=True
    )

    [course] = re.findall(r'^{.*"title":"Knots and links".*}$', finished.stdout, re.MULTILINE)
    [request_id] = re.findall(r"^x-request-id: *(\S+)", finished.stdout, re.IGNORECASE | re.MULTILINE)
    assert json.loads(course)["price"] == "12.50"
    assert "HTTP/1.1 201" in finished.stdout
    assert "Knots and links" in finished.stdout.partition("HTTP/1.1 201")[2], "the email"
    assert "app.access" in _loggers(finished.stdout, request_id), "the API's lines"
    # The email worker's lines can be later than its email.
    eventually(lambda: "app.event" in _loggers(stack.manage("logs", "--request-id", request_id).stdout, request_id))


def _loggers(output: str, request_id: str) -> set[str]:
    """Return the loggers of a request's lines."""
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {line["logger"] for line in lines if line.get("request_id") == request_id and "logger" in line}


def test_story_requests_succeed(stack: RunningStack) -> None:
    story = _at_stack((PROJECT / "docs" / "story.http").read_text(encoding="utf-8"), stack)
    responses: dict[str, Any] = dict(re.findall(r"^@(\w+) = (\S+)", story, re.MULTILINE))

    statuses = [_send(request, responses) for request in story.split("\n### ")[1:]]

    assert statuses == [
        *(201, 200, 201, 201, 201, 404, 200, 200),  # the instructor: register, log in, course, lessons, publish, search
        *(201, 200, 202, 400, 201, 200),  # the student: register, log in, verification, enroll, lessons
        *(200, 201, 200, 202, 200, 204, 200),  # places; the other one: register, log in, wait, list, leave; emails
        *(200, 200, 200, 200, 200),  # stop emails, get the preferences, resume; unsubscribe link
        *(202, 400),  # forgotten password
        *(200, 200, 200, 204),  # the admin: log in, unpublish, audit log; delete the enrollment
    ]


def _at_stack(text: str, stack: RunningStack) -> str:
    return text.replace("http://127.0.0.1:8000", stack.api.url).replace("http://127.0.0.1:4566", stack.aws_url)


def _send(text: str, responses: dict[str, Any]) -> int:
    """Send one request of the file, keep a named response, and return the status."""
    text = text.partition("\n")[2]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    head, _, body = "\n".join(lines).partition("\n\n")
    request_line, *header_lines = _with_values(head, responses).strip().splitlines()
    method, url = request_line.split()

    response = requests.request(
        method,
        url,
        headers=dict(line.split(": ", 1) for line in header_lines),
        data=_with_values(body, responses).strip() or None,
        timeout=60,
    )

    if name := re.search(r"^# @name (\w+)", text, re.MULTILINE):
        responses[name[1]] = response.json()
    return response.status_code


def _with_values(text: str, responses: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        name, _, field = match[1].partition(".")
        return str(responses[name][field] if field else responses[name])

    return _VARIABLE.sub(value, text)
