"""Every view of the account page in Chromium, with an API that answers as the test says."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.e2e.account_page import RESET, TOKEN, VERIFY, AccountPage, FakeApi

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NEW_PASSWORD = "sphinx of black quartz"


VIEWS = {
    "": "Reset your password",
    "#forgot": "Reset your password",
    "#nonsense": "Reset your password",
    RESET: "Choose a new password",
    VERIFY: "Confirm your email address",
}


def test_fragment_selects_the_view(page: AccountPage, account_api: FakeApi) -> None:
    for fragment, heading in VIEWS.items():
        page.open(fragment)

        assert page.heading == page.focused().text == heading
        assert page.browser.title == f"{heading} – EduFlow"
    assert account_api.requests == [], "nothing is sent before the user presses a button"


@pytest.mark.parametrize("fragment", [RESET, VERIFY])
def test_token_stays_in_memory_only(page: AccountPage, fragment: str) -> None:
    page.open(fragment)

    assert page.browser.current_url == page.url
    stored = "return [localStorage.length, sessionStorage.length, document.cookie.length, history.length]"
    assert page.browser.execute_script(stored)[:3] == [0, 0, 0]
    assert TOKEN not in page.browser.page_source
    page.browser.refresh()
    assert page.heading == "Reset your password", "the token is not kept"


def test_link_opened_in_the_same_tab_replaces_the_first(page: AccountPage, account_api: FakeApi) -> None:
    page.open(RESET)
    page.browser.execute_script("location.hash = arguments[0]", f"reset={TOKEN[::-1]}")
    page.browser.execute_script("return new Promise(requestAnimationFrame)")

    page.submit(password=NEW_PASSWORD)
    page.wait_for("Your password is changed")

    assert account_api.requests == [("/auth/password/reset/", {"token": TOKEN[::-1], "password": NEW_PASSWORD})]


def test_forgot_form_requests_an_email(page: AccountPage, account_api: FakeApi) -> None:
    account_api.answer(202)
    page.open()

    page.submit(username=" ada@example.org ")
    page.wait_for("Check your email")

    assert account_api.requests == [("/auth/password/forgot/", {"username": "ada@example.org"})]
    assert "ada@example.org" in page.text
    assert page.focused().text == page.heading == "Check your email"
    page.button().click()
    assert page.heading == "Reset your password"


def test_new_password_is_set(page: AccountPage, account_api: FakeApi) -> None:
    page.open(RESET)

    page.submit(password=NEW_PASSWORD)
    page.wait_for("Your password is changed")

    assert account_api.requests == [("/auth/password/reset/", {"token": TOKEN, "password": NEW_PASSWORD})]
    assert "Log in again with the new password" in page.text
    assert page.browser.find_element(By.ID, "password").get_property("value") == ""


def test_email_address_is_confirmed_by_the_button(page: AccountPage, account_api: FakeApi) -> None:
    page.open(VERIFY)

    page.submit()
    page.wait_for("Your email address is confirmed")

    assert account_api.requests == [("/auth/email/verify/", {"token": TOKEN})]


@pytest.mark.parametrize(("fragment", "values"), [(RESET, {"password": NEW_PASSWORD}), (VERIFY, {})])
def test_invalid_link_offers_the_forgot_form(
    page: AccountPage, account_api: FakeApi, fragment: str, values: dict[str, str]
) -> None:
    account_api.answer_invalid("token", "invalid_token", "The token is invalid.")
    page.open(fragment)

    page.submit(**values)
    page.wait_for("This link does not work")
    page.button().click()

    assert page.heading == page.focused().text == "Reset your password"


def test_violated_rules_are_shown_at_the_password(page: AccountPage, account_api: FakeApi) -> None:
    account_api.answer_invalid("password", "password_too_short", SHORT, COMMON)
    page.open(RESET)

    page.submit(password="abc")
    page.wait_for(f"{SHORT} {COMMON}")
    password = page.browser.find_element(By.ID, "password")

    assert page.focused() == password
    assert password.get_attribute("aria-invalid") == "true"
    assert "password-error" in str(password.get_attribute("aria-describedby")).split()
    assert page.browser.find_element(By.ID, "password-error").text == f"{SHORT} {COMMON}"
    account_api.answer(204)
    page.submit(password=NEW_PASSWORD)
    page.wait_for("Your password is changed")  # the token still works


@pytest.mark.parametrize(
    ("fragment", "field", "message"),
    [("", "username", "Enter your username or your email address."), (RESET, "password", "Enter a new password.")],
)
def test_empty_input_is_not_sent(
    page: AccountPage, account_api: FakeApi, fragment: str, field: str, message: str
) -> None:
    page.open(fragment)

    page.submit(**{field: "  "})
    page.wait_for(message)

    assert page.focused().get_attribute("id") == field
    assert account_api.requests == []


WAITS = {"1": "1 second.", "45": "45 seconds.", "91": "2 minutes.", "840": "14 minutes.", "x": "60 seconds."}


def test_rate_limit_says_when_to_retry(page: AccountPage, account_api: FakeApi) -> None:
    page.open()
    for retry_after, words in WAITS.items():
        account_api.answer(429, {"detail": "Too many."}, Retry_After=retry_after)

        page.submit(username="ada")

        page.wait_for(f"Too many attempts. Try again in {words}")
        assert page.browser.find_element(By.CSS_SELECTOR, "[role=alert]").text.endswith(words)
        assert page.heading == "Reset your password"


@pytest.mark.parametrize(("fragment", "values"), [("", {"username": "ada"}), (VERIFY, {})])
def test_failure_is_shown_and_can_be_retried(
    page: AccountPage, account_api: FakeApi, fragment: str, values: dict[str, str]
) -> None:
    page.open(fragment)
    for is_broken, words in ((True, "There was no response."), (False, "went wrong on our side.")):
        account_api.answer(500)
        account_api.is_broken = is_broken

        page.submit(**values)

        page.wait_for(words)
        assert page.button().is_enabled()
        assert page.focused() == page.button()
    account_api.answer(204)
    page.button().click()

    page.wait_for("on its way" if values else "is confirmed")
    assert "went wrong" not in page.text


@pytest.mark.parametrize(("fragment", "field"), [("", "username"), (RESET, "password"), (VERIFY, None)])
def test_double_submit_sends_one_request(
    page: AccountPage, account_api: FakeApi, fragment: str, field: str | None
) -> None:
    account_api.may_respond.clear()
    page.open(fragment)

    page.submit(**({field: NEW_PASSWORD} if field else {}))
    page.wait_for("Sending…")
    button = page.button()
    form = page.browser.find_element(By.CSS_SELECTOR, "section:not([hidden]) form")
    assert not button.is_enabled()
    assert form.get_attribute("aria-busy") == "true"
    page.browser.execute_script("arguments[0].dispatchEvent(new Event('submit', {cancelable: true}))", form)
    button.click()
    if field:
        page.browser.find_element(By.ID, field).send_keys(Keys.ENTER)
    account_api.may_respond.set()
    page.wait_for("You can close" if field != "username" else "on its way")

    assert len(account_api.requests) == 1


def test_response_of_an_earlier_link_changes_nothing(page: AccountPage, account_api: FakeApi) -> None:
    account_api.may_respond.clear()
    account_api.answer_invalid("token", "invalid_token", "The token is invalid.")
    page.open(RESET)
    page.submit(password=NEW_PASSWORD)
    page.wait_for("Sending…")

    page.browser.execute_script("location.hash = arguments[0]", f"verify={TOKEN}")
    page.wait_for("Confirm your email address")
    account_api.may_respond.set()
    page.browser.execute_async_script("setTimeout(arguments[0], 300)")

    assert page.heading == "Confirm your email address"
    account_api.answer(204)
    page.submit()
    page.wait_for("Your email address is confirmed")


def test_password_can_be_shown_and_is_hidden_when_sent(page: AccountPage, account_api: FakeApi) -> None:
    account_api.answer_invalid("password", "password_too_short", SHORT)
    page.open(RESET)
    password = page.browser.find_element(By.ID, "password")

    page.browser.find_element(By.ID, "show-password").click()
    assert password.get_property("type") == "text"
    page.submit(password="abc")
    page.wait_for(SHORT)

    assert password.get_property("type") == "password"
    assert not page.browser.find_element(By.ID, "show-password").is_selected()


def test_page_loads_nothing_from_elsewhere(page: AccountPage, account_api: FakeApi) -> None:
    page.open()

    loaded = page.browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert len(loaded) >= 2
    assert all(name.startswith((f"{account_api.url}/api/account/", "data:")) for name in loaded), loaded


def test_policy_blocks_inline_scripts_and_other_origins(page: AccountPage) -> None:
    page.open()
    violations = page.browser.execute_async_script("""
        const found = [];
        addEventListener("securitypolicyviolation", (event) => found.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "document.title = 'changed'";
        document.body.append(script);
        fetch("http://127.0.0.1:9/").catch(() => setTimeout(arguments[0], 100, found));
    """)

    assert sorted(violations) == ["connect-src", "script-src-elem"]
    assert page.browser.title != "changed"
    messages = page.messages
    assert messages and all("Content Security Policy" in message for message in messages)


def test_page_without_javascript_says_what_it_needs(page: AccountPage) -> None:
    page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})

    page.browser.get(page.url)

    assert "This page needs JavaScript." in page.text
    assert page.browser.find_element(By.TAG_NAME, "h1").text == "Your account"
