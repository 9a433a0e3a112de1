"""API Gateway's stage cache, as the local stack emulates it: its responses, to which callers, and for how long."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from chalicelib.security.access import ROUTE_ACCESS, AuthMode
from infra.chalice import stage_settings
from infra.chalice.api_definition import CACHED_ROUTES
from tests.clients import Actor, Api, unique
from tests.stack import RunningStack

SECONDS = 5  # of the local stage


def test_stage_cache_repeats_the_first_response(teacher: Actor, gateway: Api) -> None:
    path = f"/courses-public/?limit=1&search={unique('x').replace('.', '')}"

    first, second = (Actor(gateway).get(path) for _ in range(2))

    assert first.headers["X-Request-ID"] == second.headers["X-Request-ID"]
    assert first.text == second.text
    assert (
        Actor(gateway).get("/courses/").headers["X-Request-ID"]
        != Actor(gateway).get("/courses/").headers["X-Request-ID"]
    )


def test_stage_cache_keys_every_parameter(teacher: Actor, gateway: Api) -> None:
    word = unique("word").replace(".", "")
    cheap = teacher.create_course(title=f"Cheap {word}", price="1.00")
    dear = teacher.create_course(title=f"Dear {word}", price="99.00")
    anonymous = Actor(gateway)

    def titles(query: str) -> list[str]:
        return [course["title"] for course in anonymous.get(f"/courses-public/?{query}").json()["results"]]

    for _ in range(2):  # cold and warm
        assert titles(f"search={word}") == [dear["title"], cheap["title"]]
        assert titles(f"search=cheap+{word}") == [cheap["title"]]
        assert titles(f"search={word}&limit=1") == [dear["title"]]
        rest = anonymous.get(anonymous.get(f"/courses-public/?search={word}&limit=1").json()["next"]).json()
        assert [course["title"] for course in rest["results"]] == [cheap["title"]]
        prices = [
            [
                course["price"]
                for course in anonymous.get(f"/courses-public/?ordering={order}&limit=100").json()["results"]
            ]
            for order in ("price", "-price")
        ]
        assert prices[0] == sorted(prices[0], key=float)
        assert prices[1] == sorted(prices[1], key=float, reverse=True)
        assert prices[0] != prices[1]


def test_links_have_the_requested_host(stack: RunningStack, teacher: Actor, gateway: Api) -> None:
    word = unique("host").replace(".", "")
    for _ in range(2):
        teacher.create_course(title=f"Course {word}")
    path = f"/api/v1/courses-public/?search={word}&limit=1"
    stage_host = stack.stage_host()

    here = requests.get(stack.api.url + path, timeout=30).json()["next"]
    there = requests.get(f"{stack.aws_url}/local{path}", headers={"Host": stage_host}, timeout=30).json()["next"]

    assert here.startswith(stack.api.url)
    assert stage_host in there


def test_unpublished_course_leaves_the_stage_cache_in_time(teacher: Actor, gateway: Api) -> None:
    word = unique("unpublished").replace(".", "")
    course = teacher.create_course(title=f"Course {word}")
    path = f"/courses-public/?search={word}"
    assert len(Actor(gateway).get(path).json()["results"]) == 1
    teacher.call("PATCH", f"/courses/{course['id']}/", json={"is_published": False})
    taken_down = time.monotonic()

    while Actor(gateway).get(path).json()["results"]:
        assert time.monotonic() - taken_down < SECONDS + 1
        time.sleep(0.1)


def test_cache_control_header_does_not_bypass_the_cache(gateway: Api) -> None:
    path = f"/courses-public/?search={unique('x').replace('.', '')}"

    ids = {
        Actor(gateway).get(path, headers=headers).headers["X-Request-ID"]
        for headers in ({}, {"Cache-Control": "max-age=0"}, {"Cache-Control": "no-cache", "Pragma": "no-cache"})
    }

    assert len(ids) == 1


def test_stage_cache_collapses_concurrent_reads(gateway: Api) -> None:
    path = f"/courses-public/?limit=7&search={unique('x').replace('.', '')}"
    Actor(gateway).get(path)

    with ThreadPoolExecutor(20) as pool:
        ids = {*pool.map(lambda _: Actor(gateway).get(path).headers["X-Request-ID"], range(100))}

    assert len(ids) == 1


def test_deployed_stage_has_its_settings(stack: RunningStack) -> None:
    client = stack.aws("apigateway")
    [api_id] = [api["id"] for api in client.get_rest_apis()["items"] if api["name"] == "eduflow"]

    settings = client.get_stage(restApiId=api_id, stageName="local")

    assert (settings["cacheClusterEnabled"], settings["cacheClusterSize"]) == (True, "0.5")
    caching = {path for path, method in settings["methodSettings"].items() if method["cachingEnabled"]}
    assert caching == {f"{path}/GET" for path in CACHED_ROUTES}


def test_stage_cache_skips_routes_with_tokens() -> None:
    assert all(ROUTE_ACCESS["GET", path] is AuthMode.PUBLIC for path in CACHED_ROUTES)
    assert all("auth" not in path for path in CACHED_ROUTES)


@pytest.mark.parametrize("variables", [{}, {"STAGE_CACHE_SIZE": "0.5", "ENABLE_CACHE": "false"}])
def test_stage_without_cache_size_has_no_stage_cache(variables: dict[str, str]) -> None:
    settings = stage_settings.properties(variables, "log")

    assert settings["CacheClusterEnabled"] is False
    assert not any(method["CachingEnabled"] for method in settings["MethodSettings"])


@pytest.mark.parametrize("seconds", ["0", "61", "300", "soon"])
def test_stage_cache_ttl_above_60_seconds_is_rejected(seconds: str) -> None:
    with pytest.raises(stage_settings.StageSettingsError, match=seconds):
        stage_settings.properties({"STAGE_CACHE_SIZE": "0.5", "STAGE_CACHE_SECONDS": seconds}, "log")


def test_client_headers_do_not_reach_cached_links(stack: RunningStack, gateway: Api) -> None:
    evil = '"></script><script src=//evil.example></script>'
    for path in ("/api/docs/", "/api/schema/", "/api/v1/courses-public/?limit=1"):
        for headers in ({"X-Forwarded-Proto": evil}, {"Host": 'evil"><script>'}, {"X-Forwarded-Proto": "javascript"}):
            response = requests.get(stack.api.url + path, headers=headers, timeout=30)
            assert response.status_code == 403 or "evil" not in response.text
            assert "javascript://" not in response.text
        assert "evil" not in gateway.call("GET", path).text


@pytest.mark.parametrize("key", ["/api/v1/users/GET", "~1api~1v1~1users/GET"])
def test_removed_cached_route_is_disabled(key: str) -> None:
    methods = {
        key: {"cachingEnabled": True},
        "*/*": {"cachingEnabled": True},
        "/api/schema/GET": {"cachingEnabled": True},
    }

    assert stage_settings._disable_removed_routes(methods, CACHED_ROUTES) == {
        "/~1api~1v1~1users/GET/caching/enabled": "false"
    }


SPELLINGS = [
    "/api//v1/{}/",
    "//api/v1/{}/",
    "/api/%2Fv1/{}/",
    "/api/v1//{}",
    "/api/v1/{}//",
    "/%61pi/v1/{}",
    "/api/v1/{}",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_spelling_of_a_path_changes_no_response_of_others(teacher: Actor, gateway: Api, spelling: str) -> None:
    word = unique("spelled").replace(".", "")
    for _ in range(2):
        teacher.create_course(title=f"Course {word}")
    query = f"?limit=1&search={word}"

    spelled = requests.get(gateway.url + spelling.format("courses-public") + query, timeout=30)
    ordinary = requests.get(f"{gateway.url}/api/v1/courses-public/{query}", timeout=30)

    assert spelled.status_code in (200, 403, 404)
    assert ordinary.status_code == 200
    assert ordinary.json()["next"].startswith(f"{gateway.url}/api/v1/courses-public/?")
    assert requests.get(ordinary.json()["next"], timeout=30).status_code == 200


@pytest.mark.parametrize("spelling", ["/api//docs/", "//api/docs", "/api/%2Fdocs/", "/api/docs//"])
def test_spelling_of_the_docs_page_changes_no_asset(gateway: Api, spelling: str) -> None:
    requests.get(gateway.url + spelling, timeout=30)
    page = requests.get(f"{gateway.url}/api/docs/", timeout=30).text

    assert '<script src="/api/docs/swagger-ui.js">' in page
    assert "/api/api/" not in page
