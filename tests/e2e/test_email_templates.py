"""Each email in headless Chromium, at the sizes of phones, in light and dark. It needs no stack."""

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By

from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.services import email_rendering
from ops.email_preview import SAMPLE_VALUES, create_sample

# Text nodes that are shown, with their color and the backgrounds of their ancestors, as [red, green, blue, alpha].
_TEXTS = """
const numbers = color => { const c = color.match(/[\\d.]+/g).map(Number); return c.length < 4 ? [...c, 1] : c };
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement, style = getComputedStyle(element);
  if (!walker.currentNode.data.trim() || !element.getClientRects().length || style.fontSize === "0px") continue;
  const backgrounds = [];
  for (let e = element; e; e = e.parentElement) backgrounds.push(numbers(getComputedStyle(e).backgroundColor));
  texts.push([walker.currentNode.data.trim(), numbers(style.color), backgrounds.find(color => color[3] > 0)]);
}
return texts;
"""
_LINKED_KINDS = [kind for kind, values in SAMPLE_VALUES.items() if "link" in values]

Show = Callable[..., None]
Color = list[float]


@pytest.fixture
def show(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Show]:
    """Show HTML as a phone does, in a color scheme."""

    def show(html: str, *, width: int = 390, scheme: str = "light") -> None:
        (tmp_path / "email.html").write_text(html, encoding="utf-8")
        metrics = {"width": width, "height": 844, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get((tmp_path / "email.html").as_uri())
        assert browser.execute_script(f"return matchMedia('(prefers-color-scheme: {scheme})').matches")

    yield show


def luminance(color: Color) -> float:
    """Return the relative luminance of WCAG 2.2."""
    channels = [c / 255 for c in color[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def inverted(color: Color) -> Color:
    return [255 - channel for channel in color[:3]]


def assert_readable(browser: webdriver.Chrome, change: Callable[[Color], Color] = list) -> None:
    texts = browser.execute_script(_TEXTS)
    assert len(texts) > 5
    for text, color, background in texts:
        assert color[3] == background[3] == 1, f"{text!r} is translucent"
        assert contrast(change(color), change(background)) >= 4.5, (text, color, background)


def assert_fits(browser: webdriver.Chrome, width: int) -> None:
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]


@pytest.mark.parametrize("kind", EmailKind)
def test_email_fits_phones_and_loads_nothing(browser: webdriver.Chrome, show: Show, kind: EmailKind) -> None:
    email = create_sample(kind)

    for width in (390, 320):
        for html in (email.html, without_style(email.html)):
            show(html, width=width)

            assert_fits(browser, width)
            assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []


@pytest.mark.parametrize("kind", EmailKind)
def test_email_is_readable_in_light_and_dark(
    browser: webdriver.Chrome, show: Show, tmp_path: Path, kind: EmailKind
) -> None:
    email = create_sample(kind)
    backgrounds = {}

    for scheme in ("light", "dark"):
        show(email.html, scheme=scheme)
        assert_readable(browser)
        assert_readable(browser, inverted)
        image = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
        (tmp_path / f"{kind}-{scheme}.png").write_bytes(base64.b64decode(image))
        backgrounds[scheme] = {luminance(background) for _, _, background in page_texts(browser)}

    assert max(backgrounds["light"]) > 0.8
    assert max(backgrounds["dark"]) < 0.15


@pytest.mark.parametrize("kind", EmailKind)
def test_email_is_readable_without_its_style(browser: webdriver.Chrome, show: Show, kind: EmailKind) -> None:
    """Some email programs remove the style element, also in a dark color scheme."""
    for scheme in ("light", "dark"):
        show(without_style(create_sample(kind).html), scheme=scheme)

        assert_readable(browser)


@pytest.mark.parametrize("kind", _LINKED_KINDS)
def test_button_is_large_enough_for_a_finger(browser: webdriver.Chrome, show: Show, kind: EmailKind) -> None:
    show(create_sample(kind).html, width=320)

    button, link = browser.find_elements(By.TAG_NAME, "a")
    assert button.size["height"] >= 44
    assert button.text and "\n" not in button.text
    assert button.get_attribute("href") == link.get_attribute("href") == link.text == SAMPLE_VALUES[kind]["link"]


@pytest.mark.parametrize("kind", PREFERENCE_OF)
def test_unsubscribe_link_is_visible_and_large_enough(browser: webdriver.Chrome, show: Show, kind: EmailKind) -> None:
    email = create_sample(kind)
    show(email.html)

    link = browser.find_element(By.LINK_TEXT, "Unsubscribe from these emails")
    assert link.size["height"] >= 44
    assert link.get_attribute("href") == email.unsubscribe_url


def test_longest_names_fit_phones(browser: webdriver.Chrome, show: Show) -> None:
    values = {"student": "M" * 150, "course": "W" * 200, "owner": "M" * 150}
    email = email_rendering.render(EmailKind.ENROLLMENT, "ada@example.org", values)

    show(email.html, width=320)

    assert_fits(browser, 320)
    assert "W" * 200 in browser.find_element(By.TAG_NAME, "body").text


def test_preheader_is_not_shown(browser: webdriver.Chrome, show: Show) -> None:
    email = create_sample(EmailKind.PASSWORD_CHANGED)
    show(email.html)

    preheader = "If you did not change it, ask for a new one now."
    assert preheader in email.html
    assert preheader not in browser.find_element(By.TAG_NAME, "body").text


def without_style(html: str) -> str:
    stripped, number = re.subn(r"<style>.*</style>", "", html, flags=re.DOTALL)
    assert number == 1
    return stripped


def page_texts(browser: webdriver.Chrome) -> list[tuple[str, Color, Color]]:
    return [tuple(text) for text in browser.execute_script(_TEXTS)]
