"""The API in this process: Chalice's routing, authorizer and middleware, without a gateway."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from chalice.test import Client

from app import app
from chalicelib.core.caller import Caller
from tests.factories import create_token

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


@pytest.fixture
def http(aws: None) -> ApiClient:
    return ApiClient()
