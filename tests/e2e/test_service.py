"""Health, schema and docs; the errors and headers of all responses; the log."""

import json
import re
import uuid
from urllib.parse import urlsplit

import pytest
import requests

from tests.clients import Actor, Api
from tests.e2e.apis import EACH_API
from tests.stack import RunningStack
from tests.waiting import eventually

pytestmark = pytest.mark.contract


@EACH_API
def test_health_schema_and_docs_need_no_token(stack: RunningStack, anonymous: Actor, api: Api) -> None:
    health, schema, docs = (anonymous.get(f"/api/{name}/") for name in ("health", "schema", "docs"))

    assert health.json() == {"status": "ok", "stage": stack.stage}
    assert schema.json()["openapi"] == "3.1.0"
    assert schema.json()["servers"] == [{"url": api.url}]
    assert docs.headers["Content-Type"].startswith("text/html")


@EACH_API
def test_docs_assets_have_the_same_origin(anonymous: Actor, api: Api) -> None:
    page = anonymous.get("/api/docs/").text
    assets = re.findall(r'(?:src|href)="(/[^"]+)"', page)

    stage = urlsplit(api.url)  # with the stage in the path, on LocalStack
    names = ("swagger-ui.css", "swagger-ui.js", "start.js")
    assert assets == [f"{stage.path}/api/docs/{name}" for name in names]
    for asset in assets:
        assert api.call("GET", f"{stage.scheme}://{stage.netloc}{asset}").ok
    assert "http" not in page
    assert anonymous.get("/api/docs/nothing.js").status_code == 404


@pytest.mark.parametrize("path", ["/courses", "/courses/"])
@EACH_API
def test_paths_work_with_and_without_the_trailing_slash(anonymous: Actor, api: Api, path: str) -> None:
    assert anonymous.get(path).status_code == 200


@EACH_API
def test_every_response_has_id_duration_and_cors(anonymous: Actor, api: Api) -> None:
    responses = [
        anonymous.get("/api/health/"),
        anonymous.get("/courses/nope/"),
        anonymous.call("DELETE", "/courses/"),
        anonymous.post("/auth/login/", {}),
    ]

    assert [response.status_code for response in responses] == [200, 404, 405, 400]
    for response in responses:
        uuid.UUID(response.headers["X-Request-ID"])
        assert float(response.headers["X-Response-Time-ms"]) >= 0
        assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert len({response.headers["X-Request-ID"] for response in responses}) == len(responses)


@EACH_API
def test_preflight_is_answered(anonymous: Actor, api: Api) -> None:
    response = anonymous.call("OPTIONS", "/courses/")

    assert response.status_code == 200
    assert {"GET", "POST"} <= set(response.headers["Access-Control-Allow-Methods"].split(","))
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


def _is_problem(response: requests.Response, status: int) -> bool:
    problem = response.json()
    assert response.status_code == problem["status"] == status, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "detail", "instance", "request_id"} <= set(problem)
    assert problem["request_id"] == response.headers["X-Request-ID"]
    assert isinstance(problem["detail"], str)
    assert requests.compat.urlparse(response.url).path == problem["instance"]
    return True


@EACH_API
def test_errors_are_problems(anonymous: Actor, api: Api) -> None:
    json_type = {"Content-Type": "application/json"}

    assert _is_problem(anonymous.get("/courses/nope/"), 404)
    assert _is_problem(anonymous.call("POST", "/auth/login/", data="{", headers=json_type), 400)
    assert _is_problem(anonymous.call("POST", "/auth/login/", data="[]", headers=json_type), 400)
    assert _is_problem(anonymous.call("POST", "/auth/login/", headers=json_type), 400)
    assert _is_problem(anonymous.call("POST", "/auth/login/", data="<a/>", headers={"Content-Type": "text/xml"}), 415)
    assert _is_problem(anonymous.call("POST", "/auth/login/", data=b"x" * 2_097_153, headers=json_type), 413)
    assert _is_problem(wrong := anonymous.call("PUT", "/courses/"), 405)
    assert {"GET", "POST"} <= set(wrong.headers["Allow"].replace(" ", "").split(","))
    assert _is_problem(anonymous.get("/courses/?limit=0"), 400)
    assert _is_problem(Actor(api, token="no.such.token").get("/courses/"), 401)
    assert _is_problem(anonymous.get("/courses/", headers={"Authorization": "Basic YTpi"}), 401)


@pytest.mark.embedded  # LocalStack ignores gateway responses
def test_gateway_errors_are_problems(gateway: Api, student: Actor) -> None:
    assert _is_problem(missing := gateway.call("GET", "/auth/me/"), 401)
    assert _is_problem(bad := gateway.call("GET", "/auth/me/", "no.such.token"), 401)
    assert _is_problem(student.post("/courses/", {"title": "Mine"}), 403)
    assert _is_problem(gateway.call("GET", "/nothing/here/"), 404)
    assert _is_problem(student.get("/nothing/here/"), 404)
    assert missing.headers["WWW-Authenticate"] == bad.headers["WWW-Authenticate"] == 'Bearer realm="EduFlow"'


@pytest.mark.embedded  # LocalStack's gateway renames no header
def test_gateway_renames_www_authenticate_of_the_function(gateway: Api) -> None:
    refused = gateway.call("GET", "/courses/", "no.such.token")

    assert refused.status_code == 401
    assert "WWW-Authenticate" not in refused.headers
    assert refused.headers["x-amzn-Remapped-WWW-Authenticate"] == 'Bearer realm="EduFlow", error="invalid_token"'


@pytest.mark.embedded  # LocalStack invokes no authorizer and writes no access log
def test_log_has_the_reason_of_a_401_of_the_authorizer(stack: RunningStack) -> None:
    before = len(stack.output())
    refused = stack.api.call("GET", "/auth/me/", "no.such.token")

    listed = stack.manage("logs", "--request-id", refused.headers["X-Request-ID"])

    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    by_logger = {line["logger"]: line for line in lines}
    assert by_logger["app.error"]["extra"]["reason"]
    assert by_logger["gateway.access"]["message"].endswith("/auth/me/ 401")
    assert by_logger["gateway.access"]["extra"]["gateway_error"] == "UNAUTHORIZED"
    eventually(lambda: "HandledError: Unauthorized" in stack.output()[before:])
    assert "Traceback" not in stack.output()[before:]


def test_log_follows_a_request_through_the_functions(stack: RunningStack, teacher: Actor, student: Actor) -> None:
    response = student.post("/enrollments/", {"course": teacher.create_course()["id"]})
    request_id = response.headers["X-Request-ID"]

    eventually(lambda: stack.output().count(request_id) >= 2)
    listed = stack.manage("logs", "--request-id", request_id)

    lines = [json.loads(line) for line in listed.stdout.splitlines()]
    lines = [line for line in lines if line["logger"] != "gateway.access"]  # LocalStack writes no access log
    assert [line["logger"] for line in lines] == ["app.access", "app.event"]
    for line in lines:
        assert set(line) == {"timestamp", "level", "logger", "message", "request_id", "extra"}
        assert line["request_id"] == request_id
    access = lines[0]["extra"]
    path = urlsplit(f"{stack.api.url}/api/v1/enrollments/").path
    assert (access["method"], access["path"], access["status"]) == ("POST", path, 201)
    assert access["user_id"] == response.json()["student"]
    assert access["duration_ms"] > 0
