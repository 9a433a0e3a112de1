"""The API in this process: Chalice's routing, authorizer and middleware, without a gateway."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from chalice.test import Client

from app import app
from chalicelib.adapters.cache import client as cache_client
from chalicelib.adapters.cache import switch
from chalicelib.core.caller import Caller
from tests.factories import create_token
from tests.fault_injection.valkey import Valkey, cached_in

HOST = "api.example.org"


@dataclass(frozen=True)
class ApiResponse:
    """A response whose header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


class ApiClient:
    """Sends requests as a caller, or as an anonymous client."""

    def __init__(self) -> None:
        self._http = Client(app, stage_name="test").http

    def call(
        self, method: str, path: str, caller: Caller | None = None, body: Any = None, **headers: str
    ) -> ApiResponse:
        """Send a request. The path is relative to /api/v1, unless it starts with /api."""
        all_headers = {"Host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
        if caller is not None:
            all_headers["Authorization"] = f"Bearer {create_token(caller)}"
        raw = b""
        if body is not None:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        url = path if path.startswith("/api") else f"/api/v1{path}"
        response = self._http.request(method, url, headers=all_headers, body=raw)
        named = {name.lower(): value for name, value in response.headers.items()}
        return ApiResponse(response.status_code, named, response.body)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """A server of the module, empty for each test that uses `valkey`."""
    valkey = Valkey(tmp_path_factory.mktemp("valkey"))
    yield valkey
    valkey.close()


@pytest.fixture
def valkey(server: Valkey, aws: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    """The cache of the API, empty."""
    monkeypatch.setattr(cache_client, "READ_TIMEOUT_SECONDS", 2)  # a busy machine is no ill cache
    monkeypatch.setattr(switch, "COPY_SECONDS", 60)  # one read of the state per test
    server.client.flushall()
    with cached_in(server.straight_url):
        yield server


@pytest.fixture
def http(aws: None) -> ApiClient:
    return ApiClient()
