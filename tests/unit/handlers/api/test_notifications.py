"""Email preferences and unsubscribe links in this process: responses, headers and the page."""

import re
from html.parser import HTMLParser

import pytest

from chalicelib.core import ids
from chalicelib.core.caller import Caller
from chalicelib.core.config import settings
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.core.roles import Role
from chalicelib.handlers.api.account_page import asset_path
from chalicelib.models.base import add_nothing
from chalicelib.models.users import User
from chalicelib.services import users
from tests.factories import create_user
from tests.unit.handlers.conftest import ApiClient, ApiResponse

WANTS_ALL = {"enrollment": True, "waitlist": True, "completion": True, "reports": True}
ME = "/auth/me/notifications/"
UNSUBSCRIBE = "/notifications/unsubscribe/"
MULTIPART = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
ACCOUNT_EMAILS = "Emails about your account itself, such as about a new password, are still sent."


@pytest.fixture
def student(aws: None) -> Caller:
    return create_user(Role.STUDENT)


def unwanted_of(caller: Caller) -> frozenset[str]:
    user = User.find(caller.id)
    assert user is not None
    return user.unwanted_emails


def token_of(caller: Caller, scope: str) -> str:
    user = User.find(caller.id)
    assert user is not None
    return user.id + user.ensure_unsubscribe_secret() + scope


def post(http: ApiClient, token: str) -> ApiResponse:
    return http.call("POST", f"{UNSUBSCRIBE}?token={token}")


def fixed_headers(response: ApiResponse) -> dict[str, str]:
    """Return the headers that are not of this very request."""
    return response.headers | {"x-request-id": "", "x-response-time-ms": ""}


class Page(HTMLParser):
    """The elements and texts of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts += [data.strip()] if data.strip() else []

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("role", Role)
def test_preferences_are_read_and_changed(http: ApiClient, role: Role) -> None:
    caller = create_user(role)

    before = http.call("GET", ME, caller)
    changed = http.call("PATCH", ME, caller, {"reports": False, "waitlist": True})
    after = http.call("GET", ME, caller)

    assert (before.status, before.json) == (200, WANTS_ALL)
    assert (changed.status, changed.json) == (200, WANTS_ALL | {"reports": False})
    assert after.json == changed.json
    assert after.headers["cache-control"] == "no-store"


def test_preferences_need_a_token_and_a_session(http: ApiClient, student: Caller) -> None:
    assert [http.call(method, ME, body={}).status for method in ("GET", "PATCH")] == [401, 401]
    user = User.find(student.id)
    assert user is not None
    user.change_password("a hash", add_nothing)

    assert [http.call(method, ME, student, {"reports": False}).status for method in ("GET", "PATCH")] == [401, 401]
    assert unwanted_of(student) == set()


@pytest.mark.parametrize("value", ["no", 0, None, [False]])
def test_preference_that_is_no_boolean_is_rejected(http: ApiClient, student: Caller, value: object) -> None:
    response = http.call("PATCH", ME, student, {"waitlist": False, "reports": value})

    assert response.status == 400
    assert [error["field"] for error in response.json["errors"]] == ["reports"]
    assert unwanted_of(student) == set()


def test_unknown_preferences_are_ignored(http: ApiClient, student: Caller) -> None:
    response = http.call("PATCH", ME, student, {"password_changed": False, "unsubscribe_secret": "x"})

    assert (response.status, response.json) == (200, WANTS_ALL)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", b"List-Unsubscribe=One-Click"),
        ("multipart/form-data; boundary=x", MULTIPART),
        ("application/json", b"{"),
        ("text/plain", b""),
    ],
)
def test_one_click_request_stops_emails(http: ApiClient, student: Caller, content_type: str, body: bytes) -> None:
    path = f"{UNSUBSCRIBE}?token={token_of(student, 'enrollment')}"

    responses = [http.call("POST", path, body=body, Content_Type=content_type) for _ in range(2)]

    for response in responses:
        assert (response.status, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        assert response.body.decode() == f"Emails about enrollments are stopped.\n\n{ACCOUNT_EMAILS}\n"
        assert response.headers["cache-control"] == "no-store"
        assert not {"location", "set-cookie"} & response.headers.keys()
    assert unwanted_of(student) == {"enrollment"}


def test_token_for_all_stops_every_preference(http: ApiClient, student: Caller) -> None:
    response = post(http, token_of(student, "all"))

    assert response.body.decode().startswith("All emails except those about your account are stopped.")
    assert http.call("GET", ME, student).json == dict.fromkeys(WANTS_ALL, False)


@pytest.mark.parametrize("scope", [*EmailPreference, "all"])
def test_response_does_not_depend_on_the_account(http: ApiClient, student: Caller, scope: str) -> None:
    other, erased = create_user(Role.STUDENT), create_user(Role.STUDENT)
    own, theirs, of_erased = (token_of(caller, scope) for caller in (student, other, erased))
    users.erase(erased.id)
    forged = student.id + theirs[16:]
    unknown = ids.new_id() + ids.new_secret() + scope

    refused = [post(http, token) for token in (forged, of_erased, unknown)]

    assert unwanted_of(student) == unwanted_of(other) == set()
    accepted = post(http, own)
    assert unwanted_of(student) != set()
    described = [(response.status, response.body, fixed_headers(response)) for response in (accepted, *refused)]
    assert all(one == described[0] for one in described)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?Token={token}", "?token={token}x", "?token={token}%0A"])
def test_malformed_token_is_400(http: ApiClient, student: Caller, method: str, query: str) -> None:
    token = token_of(student, "all")

    response = http.call(method, UNSUBSCRIBE + query.format(token=token))

    assert (response.status, response.headers["content-type"]) == (400, "application/problem+json")
    assert [error["field"] for error in response.json["errors"]] == ["token"]
    assert token not in response.body.decode()
    assert unwanted_of(student) == set()


def test_page_changes_nothing_and_reads_nothing(http: ApiClient, student: Caller, dynamodb_calls: list[str]) -> None:
    token = token_of(student, "reports")
    dynamodb_calls.clear()

    response = http.call("GET", f"{UNSUBSCRIBE}?token={token}")

    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert dynamodb_calls == []
    assert unwanted_of(student) == set()


def test_page_has_a_form_for_the_kind_and_one_for_all(http: ApiClient, student: Caller) -> None:
    token = token_of(student, "reports")

    page = Page(http.call("GET", f"{UNSUBSCRIBE}?token={token}").body)

    path = f"/api/v1{UNSUBSCRIBE}?token={token[:42]}"
    assert page.all("form", "action") == [f"{path}reports", f"{path}all"]
    assert page.all("form", "method") == ["post", "post"]
    assert page.all("button", "class") == [None, "secondary"]
    assert "Stop emails with daily reports" in page.texts
    assert "Stop all emails except those about your account" in page.texts
    assert ACCOUNT_EMAILS in page.texts


def test_page_of_a_token_for_all_has_one_form(http: ApiClient, student: Caller) -> None:
    page = Page(http.call("GET", f"{UNSUBSCRIBE}?token={token_of(student, 'all')}").body)

    assert page.all("button", "class") == [None]


@pytest.mark.parametrize("scope", [*EmailPreference, "all"])
def test_forms_of_the_page_work(http: ApiClient, student: Caller, scope: str) -> None:
    page = Page(http.call("GET", f"{UNSUBSCRIBE}?token={token_of(student, scope)}").body)

    for action, stopped in zip(page.all("form", "action"), [{scope}, {*EmailPreference}], strict=False):
        form = http.call("POST", str(action), body=b"", Content_Type="application/x-www-form-urlencoded")
        assert form.status == 200
        assert unwanted_of(student) == ({*EmailPreference} if scope == "all" else stopped)


def test_page_is_the_same_whether_the_account_exists(http: ApiClient, student: Caller) -> None:
    token = token_of(student, "all")
    before = http.call("GET", f"{UNSUBSCRIBE}?token={token}").body

    users.erase(student.id)

    assert http.call("GET", f"{UNSUBSCRIBE}?token={token}").body == before


def test_page_has_a_strict_policy_and_no_inline_code(http: ApiClient, student: Caller) -> None:
    response = http.call("GET", f"{UNSUBSCRIBE}?token={token_of(student, 'all')}")

    policy = dict(part.strip().split(" ", 1) for part in response.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    page = Page(response.body)
    assert not {"script", "style", "iframe", "img"} & {tag for tag, _ in page.elements}
    names = {name for _, attributes in page.elements for name in attributes}
    assert "style" not in names and not any(name.startswith("on") for name in names)
    assert page.all("html", "lang") == ["en"] and len(page.all("h1", "id")) == 1
    assert page.all("link", "href") == [asset_path("pages.css")]


def test_page_links_below_the_public_base(http: ApiClient, student: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings().__dict__, "public_base_url", 'https://school.example/l"ms')

    page = Page(http.call("GET", f"{UNSUBSCRIBE}?token={token_of(student, 'all')}").body)

    assert page.all("link", "href") == ['/l"ms' + asset_path("pages.css")]
    assert [re.sub(r"token=.*", "", str(action)) for action in page.all("form", "action")] == [
        f'/l"ms/api/v1{UNSUBSCRIBE}?'
    ]


def test_export_has_the_preferences_and_no_secret(http: ApiClient, student: Caller) -> None:
    token = token_of(student, "all")
    http.call("PATCH", ME, student, {"completion": False})

    export = http.call("GET", "/auth/me/export/", student)

    assert export.json["user"]["notifications"] == WANTS_ALL | {"completion": False}
    assert token[16:42] not in export.body.decode()
