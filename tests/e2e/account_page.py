"""The account page in a browser, and a server of it whose API answers as a test says."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from chalice.test import Client
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from chalicelib.core.config import settings

STAGE = "/prod"
TOKEN = "0123456789abcdefghjkmnpqrstvwxyz0123456789"
RESET, VERIFY = f"#reset={TOKEN}", f"#verify={TOKEN}"
_PATIENCE_SECONDS = 20
_PATH = "/api/account/"
_SHOWN = "return [...document.querySelectorAll('{}')].filter(element => element.checkVisibility())"


@dataclass
class FakeApi:
    """The page and its assets as the app serves them, below a stage, and an API with one answer to everything."""

    url: str
    status: int = 204
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_broken: bool = False
    """Whether it ends connections without a response."""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    """Path below /api/v1 and body of each request."""
    may_respond: threading.Event = field(default_factory=threading.Event)

    def answer(self, status: int, body: Mapping[str, Any] | None = None, **headers: str) -> None:
        """Set the answer to all requests from now on."""
        self.status, self.body = status, body or {}
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer_invalid(self, name: str, code: str, *messages: str) -> None:
        """Answer with a problem document about one field."""
        errors = [{"field": name, "code": code, "message": message} for message in messages]
        self.answer(400, {"status": 400, "detail": "Invalid input.", "errors": errors})


@contextmanager
def fake_api() -> Iterator[FakeApi]:
    """Serve the page with a fake API, at a free port."""
    from app import app  # late: other end-to-end tests do not have it in their process

    # Chalice replaces os.environ by that of the client's stage for each request. Two threads that do so at once would
    # leave it to all later tests of this process. `test` is no stage of the configuration, and has no environment.
    client, one_at_a_time = Client(app, stage_name="test").http, threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with one_at_a_time:
                served = client.get(self.path.removeprefix(STAGE))
            self._send(served.status_code, dict(served.headers), served.body)

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            api.requests.append((self.path.removeprefix(f"{STAGE}/api/v1"), sent))
            assert api.may_respond.wait(_PATIENCE_SECONDS)
            if not api.is_broken:
                self._send(api.status, dict(api.headers), json.dumps(api.body).encode() if api.status != 204 else b"")

        def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = FakeApi(f"http://127.0.0.1:{server.server_port}{STAGE}")
    api.may_respond.set()
    settings().__dict__["public_base_url"] = api.url
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        del settings().__dict__["public_base_url"]
        server.shutdown()
        server.server_close()


class AccountPage:
    """The page, in a browser."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self.browser = browser
        self.url = url + _PATH

    def open(self, fragment: str = "") -> None:
        """Load the page, also if only the fragment of its URL differs from the current one."""
        self.browser.get("about:blank")
        self.browser.get(self.url + fragment)

    @property
    def heading(self) -> str:
        """The one visible heading."""
        [heading] = self.browser.execute_script(_SHOWN.format("h1"))
        return str(heading.text)

    @property
    def messages(self) -> list[str]:
        """The messages in the console since the last call, except for those about responses of 400 or more."""
        messages = [str(entry["message"]) for entry in self.browser.get_log("browser")]  # type: ignore[no-untyped-call]
        return [message for message in messages if "Failed to load resource" not in message]

    @property
    def text(self) -> str:
        """All visible text of the page."""
        return self.browser.find_element(By.TAG_NAME, "main").text

    def wait_for(self, words: str) -> None:
        """Wait until the page shows these words."""
        with suppress(TimeoutException):
            WebDriverWait(self.browser, _PATIENCE_SECONDS, poll_frequency=0.05).until(lambda _: words in self.text)
        assert words in self.text, self.text

    def button(self) -> WebElement:
        """Return the visible button."""
        [button] = self.browser.execute_script(_SHOWN.format("button"))
        assert isinstance(button, WebElement)
        return button

    def submit(self, **values: str) -> None:
        """Fill in inputs by their IDs, and press the button."""
        for name, value in values.items():
            element = self.browser.find_element(By.ID, name)
            element.clear()
            element.send_keys(value)
        self.button().click()

    def focused(self) -> WebElement:
        """Return the element with the focus."""
        return self.browser.switch_to.active_element

    def emulate(self, width: int, scheme: str = "light", scale: float = 1) -> None:
        """Emulate a screen width in CSS pixels at a zoom of 100 %, a color scheme, and a zoom."""
        metrics = {"width": round(width / scale), "height": 700, "deviceScaleFactor": scale, "mobile": True}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
