"""Swagger UI in headless Chromium, at the size of a phone's screen."""

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.clients import unique
from tests.stack import RunningStack

_PATIENCE = 20


class Page:
    """Swagger UI, in a browser."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def find(self, selector: str, inside: WebElement | None = None) -> WebElement:
        scope = inside or self.browser
        return WebDriverWait(self.browser, _PATIENCE).until(
            lambda _: (
                next((e for e in scope.find_elements(By.CSS_SELECTOR, selector) if e.is_displayed()), None) or False
            )
        )

    def press(self, selector: str, inside: WebElement | None = None) -> None:
        element = self.find(selector, inside)
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def write(self, selector: str, text: str, inside: WebElement | None = None) -> None:
        element = self.find(selector, inside)
        element.clear()
        element.send_keys(text)

    def runs(self, operation: str, body: str = "", parameter: str = "") -> str:
        """Run an operation with `Try it out` and return the displayed response."""
        block = self.find(f"[id$='-{operation}']")
        self.press(".opblock-summary-control", block)
        self.press(".try-out__btn", block)
        if body:
            self.write("textarea.body-param__text", body, block)
        if parameter:
            self.write(".parameters input[type=text]", parameter, block)
        self.press(".execute", block)
        return self.find(".live-responses-table", block).text


def test_docs_page_logs_in_and_creates_a_course(stack: RunningStack, browser: webdriver.Chrome) -> None:
    title = unique("From the page")
    page = Page(browser)
    browser.get(f"{stack.api.url}/api/docs/")

    shown = page.runs("login", body='{"username": "grace.h", "password": "learn-with-eduflow"}')
    token = shown.partition('"access": "')[2].partition('"')[0]
    page.press(".btn.authorize")
    page.write(".auth-container input", token)
    page.press(".auth-btn-wrapper .authorize")
    page.press(".auth-btn-wrapper .btn-done")
    made = page.runs("create_course", body=f'{{"title": "{title}", "is_published": true}}')
    course_id = made.partition('"id": "')[2].partition('"')[0]
    read = page.runs("get_course", parameter=course_id)

    assert course_id
    assert title in read
    assert '"owner": "grace.h"' in read
    width = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1], "a phone would have to scroll sideways"
    messages = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    assert [message for message in messages if "Content Security Policy" in message] == []
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert all(name.startswith((stack.api.url, "data:")) for name in loaded), loaded
