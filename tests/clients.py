"""Clients of the API: users with sessions and anonymous clients."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import requests

PASSWORD = "sphinx of black quartz"


def unique(word: str) -> str:
    """Return a name that no other test uses. Emails show it as it is: it does not look like a domain."""
    return f"{word}.0{uuid.uuid4().hex[:10]}"


class Api:
    """The API at one address."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        """Send one request. The path is relative to /api/v1, unless it starts with /api or is a URL."""
        url = path if path.startswith("http") else self.url + (path if path.startswith("/api") else f"/api/v1{path}")
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        address = urlsplit(url)
        if address.hostname is not None and address.hostname.endswith(".localhost"):
            # Not every resolver knows the names below localhost.
            url = address._replace(netloc=f"127.0.0.1:{address.port}").geturl()
            headers = {"Host": address.netloc} | headers
        return requests.request(method, url, headers=headers, timeout=120, **options)


class Actor:
    """A client of the API: a user with a session, or anonymous."""

    def __init__(self, api: Api, username: str = "", token: str | None = None) -> None:
        self.api = api
        self.username = username
        self.token = token

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.api.call("GET", path, self.token, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.api.call("POST", path, self.token, json=json, **options)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.api.call(method, path, self.token, **options)

    def create_course(self, **fields: Any) -> dict[str, Any]:
        """Create a course of this actor, published by default."""
        response = self.post("/courses/", {"title": unique("Course"), "is_published": True} | fields)
        assert response.status_code == 201, response.text
        course: dict[str, Any] = response.json()
        return course

    def enroll_in(self, course: dict[str, Any]) -> dict[str, Any]:
        """Enroll this actor in a course."""
        response = self.post("/enrollments/", {"course": course["id"]})
        assert response.status_code == 201, response.text
        enrollment: dict[str, Any] = response.json()
        return enrollment


def register(api: Api, role: str) -> Actor:
    """Register a student or instructor and log in."""
    username = unique(role)
    account = {"username": username, "email": f"{username}@example.org", "password": PASSWORD, "role": role}
    response = api.call("POST", "/auth/register/", json=account)
    assert response.status_code == 201, response.text
    return log_in(api, username)


def log_in(api: Api, username: str, password: str = PASSWORD) -> Actor:
    """Log in and return the user as an actor."""
    response = api.call("POST", "/auth/login/", json={"username": username, "password": password})
    assert response.status_code == 200, response.text
    return Actor(api, username, response.json()["access"])


def call_concurrently(call: Callable[[int], requests.Response], clients: int) -> list[requests.Response]:
    """Return the responses of clients that call concurrently."""
    together = Barrier(clients)

    def one(number: int) -> requests.Response:
        together.wait()
        return call(number)

    with ThreadPoolExecutor(clients) as pool:
        return [*pool.map(one, range(clients))]
