"""Which requests of a browser reach the local stack."""

import asyncio
from typing import Any

import pytest

from devstack.origin_guard import guarded, refusal

LOCAL = {"host": "127.0.0.1:4566"}


@pytest.mark.parametrize("is_aws", [True, False])
@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:8000", "localhost:4566", "LOCALHOST", "[::1]:8000", "ab12.execute-api.localhost:4566"],
)
def test_local_host_is_served(host: str, is_aws: bool) -> None:
    assert refusal({"host": host}, is_aws=is_aws) == ""


@pytest.mark.parametrize("is_aws", [True, False])
@pytest.mark.parametrize(
    "host",
    [
        "rebind.evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evillocalhost",
        "0.0.0.0:4566",
        "",
        "[::",
    ],
)
def test_other_host_is_refused(host: str, is_aws: bool) -> None:
    assert "has no host" in refusal({"host": host}, is_aws=is_aws)


def test_request_without_host_is_refused() -> None:
    assert refusal({}, is_aws=True)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example", "file://"])
def test_page_of_another_site_reaches_the_api_only(origin: str) -> None:
    assert refusal(LOCAL | {"origin": origin}, is_aws=True)
    assert refusal(LOCAL | {"origin": origin}, is_aws=False) == ""


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8000"])
def test_local_page_reaches_the_aws(origin: str) -> None:
    assert refusal(LOCAL | {"origin": origin}, is_aws=True) == ""


def test_local_page_of_another_port_reaches_the_aws() -> None:
    """Browsers count all ports of a host as one site."""
    headers = LOCAL | {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-site"}

    assert refusal(headers, is_aws=True) == ""


def test_link_to_the_emails_can_be_followed() -> None:
    link = LOCAL | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}

    assert refusal(link, is_aws=True, path="/_ministack/ses/messages") == ""
    assert refusal(link, is_aws=True, path="/")
    image = link | {"sec-fetch-mode": "no-cors"}
    assert refusal(image, is_aws=True, path="/_ministack/ses/messages")


@pytest.mark.parametrize(("host", "reaches"), [("127.0.0.1:4566", True), ("rebind.evil.example", False)])
def test_websocket_of_another_host_is_closed(host: str, reaches: bool) -> None:
    reached, sent = list[Any](), list[dict[str, Any]]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> None:
        return None

    scope = {"type": "websocket", "server": ("127.0.0.1", 4566), "path": "/", "headers": [(b"host", host.encode())]}

    async def call() -> None:
        await guarded(app, 4566)(scope, receive, send)

    asyncio.run(call())
    assert bool(reached) is reaches
    assert sent == ([] if reaches else [{"type": "websocket.close", "code": 1008}])


@pytest.mark.parametrize(
    ("site", "refused"), [("cross-site", True), ("same-site", True), ("none", False), ("same-origin", False)]
)
def test_image_of_another_site_is_refused_by_the_aws(site: str, refused: bool) -> None:
    """Browsers send no Origin for images and links."""
    assert bool(refusal(LOCAL | {"sec-fetch-site": site}, is_aws=True)) is refused
