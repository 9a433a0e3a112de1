"""The page behind the links in emails, in headless Chromium, at the size of a phone's screen."""

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
from selenium.webdriver.support.ui import WebDriverWait

from chalicelib.core import ids
from tests.clients import Actor
from tests.stack import RunningStack

WANTS_ALL = {"enrollment": True, "waitlist": True, "completion": True, "reports": True}
TIMEOUT_SECONDS = 20
KIND, ALL = "Stop emails about enrollments", "Stop all emails except those about your account"


@pytest.fixture
def url(stack: RunningStack, student: Actor) -> str:
    """The link in an email about an enrollment of the student."""
    user_id, secret = student.get("/auth/me/").json()["id"], ids.new_secret()
    stack.aws("dynamodb").update_item(
        TableName=f"eduflow-users-{stack.stage}",
        Key={"id": {"S": user_id}},
        UpdateExpression="SET unsubscribe_secret = :secret",
        ExpressionAttributeValues={":secret": {"S": secret}},
    )
    return f"{stack.api.url}/api/v1/notifications/unsubscribe/?token={user_id}{secret}enrollment"


def buttons(browser: webdriver.Chrome) -> dict[str, WebElement]:
    return {button.text: button for button in browser.find_elements(By.TAG_NAME, "button")}


def wait_for(browser: webdriver.Chrome, text: str) -> None:
    """Wait until the response of a form shows a text."""
    WebDriverWait(browser, TIMEOUT_SECONDS).until(text_to_be_present_in_element((By.TAG_NAME, "body"), text))


def preferences(student: Actor) -> object:
    return student.get("/auth/me/notifications/").json()


def policy_violations(browser: webdriver.Chrome) -> list[str]:
    messages = [entry["message"] for entry in browser.get_log("browser")]  # type: ignore[no-untyped-call]
    return [message for message in messages if "Content Security Policy" in message]


@pytest.mark.parametrize(
    ("label", "stopped"), [(KIND, {"enrollment": False}), (ALL, dict.fromkeys(WANTS_ALL, False))], ids=["kind", "all"]
)
def test_button_of_the_page_stops_emails(
    browser: webdriver.Chrome, student: Actor, url: str, label: str, stopped: dict[str, bool]
) -> None:
    browser.get(url)
    assert list(buttons(browser)) == [KIND, ALL]
    assert browser.find_element(By.TAG_NAME, "h1").text == "Stop emails"
    assert policy_violations(browser) == []
    assert preferences(student) == WANTS_ALL, "opening the link changes nothing"

    buttons(browser)[label].click()

    wait_for(browser, f"{label.removeprefix('Stop ').capitalize()} are stopped.")
    assert policy_violations(browser) == []
    assert preferences(student) == WANTS_ALL | stopped


def test_page_works_without_scripts_by_keyboard(browser: webdriver.Chrome, student: Actor, url: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(url)

    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    browser.switch_to.active_element.send_keys(Keys.ENTER)

    wait_for(browser, "Emails about enrollments are stopped.")
    assert preferences(student) == WANTS_ALL | {"enrollment": False}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_a_small_phone(browser: webdriver.Chrome, url: str, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": 320, "height": 640, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(url)

    width = browser.execute_script("return [document.documentElement.scrollWidth, window.innerWidth]")
    assert width[0] <= width[1] == 320
    for element in browser.find_elements(By.CSS_SELECTOR, "h1, p, button"):
        assert contrast(browser, element) >= 4.5, element.text


def contrast(browser: webdriver.Chrome, element: WebElement) -> float:
    """Return the contrast of an element's text and background (WCAG 2.2)."""
    # A canvas turns every way to write a color into numbers, and paints translucent backgrounds over each other.
    [text, background] = browser.execute_script(
        """
        const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
        const paint = color => {
          canvas.fillStyle = color;
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
        };
        const probe = document.body.appendChild(document.createElement("i"));
        probe.style.backgroundColor = "Canvas";
        const layers = [probe];
        for (let box = arguments[0]; box; box = box.parentElement) layers.splice(1, 0, box);
        const backgrounds = layers.map(box => paint(getComputedStyle(box).backgroundColor));
        return [paint(getComputedStyle(arguments[0]).color), backgrounds.at(-1)];
        """,
        element,
    )
    darker, lighter = sorted(_luminance(color) for color in (text, background))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: list[int]) -> float:
    channels = [value / 255 for value in color]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
