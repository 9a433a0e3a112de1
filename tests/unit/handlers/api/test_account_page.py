"""The account page and its assets: what a browser gets, before it runs the script."""

import re
from html.parser import HTMLParser

import pytest

from chalicelib.core import resources
from chalicelib.core.config import settings
from chalicelib.handlers.api import account_page
from chalicelib.security import passwords
from infra.chalice.api_definition import CACHED_ROUTES
from tests.unit.handlers.conftest import ApiClient

PAGE = "/api/account/"
NAMES = [*account_page.ASSETS]


class Document(HTMLParser):
    """The tags of a page with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute, of all tags."""
        return [attributes[name] for _, attributes in self.tags if name in attributes]


@pytest.fixture
def page(http: ApiClient) -> Document:
    return Document(http.call("GET", PAGE).body.decode())


def test_account_page_has_a_strict_policy(http: ApiClient) -> None:
    response = http.call("GET", PAGE)
    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))

    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers.get("cache-control") == http.call("GET", "/api/docs/").headers.get("cache-control")


def test_account_page_has_no_inline_code(page: Document) -> None:
    names = {name for _, attributes in page.tags for name in attributes}

    assert [attributes["src"] for tag, attributes in page.tags if tag == "script"] == page.values("src")
    assert len(page.values("src")) == 1
    assert "style" not in names | {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for name in names)


@pytest.mark.parametrize("base", ["", "/prod"])
def test_account_page_links_assets_that_exist(http: ApiClient, monkeypatch: pytest.MonkeyPatch, base: str) -> None:
    monkeypatch.setitem(settings().__dict__, "public_base_url", f"https://school.example{base}")
    page = Document(http.call("GET", PAGE).body.decode())
    urls = [url for url in [*page.values("src"), *page.values("href")] if url != "data:,"]

    assert len(urls) == len(NAMES)
    for url in urls:
        assert url.startswith(f"{base}/api/account/")
        asset = http.call("GET", url.removeprefix(base))
        assert asset.status == 200
        assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert asset.headers["content-type"] == account_page.ASSETS[re.sub(r".*/(\w+)\.\w+(\.\w+)", r"\1\2", url)]


@pytest.mark.parametrize("name", NAMES)
def test_changed_asset_has_another_path(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = account_page.asset_path(name)
    monkeypatch.setattr(account_page, "page_file", lambda file: resources.page_file(file) + " ")
    account_page._version.cache_clear()

    after = account_page.asset_path(name)

    account_page._version.cache_clear()
    assert before != after


@pytest.mark.parametrize("name", ["pages.css", "pages.0123456789abcdef.css"])
def test_asset_of_another_version_is_served_but_not_cached(http: ApiClient, name: str) -> None:
    asset = http.call("GET", f"{PAGE}{name}")

    assert (asset.status, asset.body.decode()) == (200, resources.page_file("pages.css"))
    assert asset.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["account.html", "nothing.js", "pages", "pages.0123456789abcdef.js", "..%2Fapp.py"])
def test_unknown_asset_is_not_found(http: ApiClient, name: str) -> None:
    assert http.call("GET", f"{PAGE}{name}").status == 404


def test_stage_cache_keeps_no_account_page() -> None:
    """It ignores Cache-Control, so it would keep an old asset under a new name during a deploy."""
    assert [path for path in CACHED_ROUTES if path.startswith(account_page.ACCOUNT_PATH)] == []


def test_account_page_is_small(http: ApiClient) -> None:
    sizes = [len(http.call("GET", f"{PAGE}{name}").body) for name in ["", *NAMES]]

    assert sum(sizes) < 12_000


def test_account_page_labels_and_describes_its_inputs(page: Document) -> None:
    ids = page.values("id")
    inputs = [attributes for tag, attributes in page.tags if tag == "input"]

    assert len(ids) == len(set(ids))
    assert {one["id"] for one in inputs} - {"show-password"} == set(page.values("for"))
    for one in inputs:
        described_by = one.get("aria-describedby", "").split()
        assert set(described_by) <= set(ids)
        assert f"{one['id']}-error" in described_by or one["id"] == "show-password"
    assert ("html", {"lang": "en"}) in page.tags


def test_script_finds_what_it_looks_for(page: Document) -> None:
    script = resources.page_file("account.js")
    views = set(page.values("data-view"))
    shown = set(re.findall(r'show\("([\w-]+)"\)', script)) | set(page.values("data-show")) | {"reset", "verify"}
    invalid = {f"{name}-invalid" for name in ("reset", "verify")}

    assert views == shown | invalid | {"start", "forgot"}
    assert set(re.findall(r'byId\("([\w-]+)"\)', script)) <= set(page.values("id"))


def test_script_stores_nothing() -> None:
    words = re.findall(r"\w+", resources.page_file("account.js"))

    assert {"localStorage", "sessionStorage", "indexedDB", "cookie", "caches"}.isdisjoint(words)


def test_account_page_names_the_shortest_password(http: ApiClient) -> None:
    text = http.call("GET", PAGE).body.decode()

    assert f"At least {passwords.MIN_LENGTH} characters" in text
    assert "$" not in text


def test_account_page_says_that_it_needs_javascript(http: ApiClient) -> None:
    text = http.call("GET", PAGE).body.decode()

    hint = text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "needs JavaScript" in hint
    [start] = re.findall(r'<section data-view="start">(.*?)</section>', text, re.DOTALL)
    assert hint in start and "<h1>" in start
    assert text.count("<section") - 1 == len(re.findall(r"<section [^>]*hidden>", text))
