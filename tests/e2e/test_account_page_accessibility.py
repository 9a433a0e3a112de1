"""The account page in Chromium: keyboard, contrast, narrow screens and zoom, in light and dark."""

from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from tests.e2e.account_page import RESET, TOKEN, VERIFY, AccountPage, FakeApi

SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."


def test_keyboard_suffices(page: AccountPage, account_api: FakeApi) -> None:
    account_api.answer_invalid("password", "password_too_short", SHORT)
    page.open(RESET)

    press(page, Keys.TAB, "abc", Keys.ENTER)
    page.wait_for(SHORT)
    account_api.answer_invalid("token", "invalid_token", "The token is invalid.")
    press(page, Keys.END, "defgh", Keys.TAB, Keys.SPACE, Keys.TAB)
    assert focus_is_visible(page)
    press(page, Keys.ENTER)
    page.wait_for("This link does not work")
    press(page, Keys.TAB, Keys.ENTER)
    assert page.heading == "Reset your password"
    press(page, Keys.TAB)
    assert focus_is_visible(page)
    account_api.answer(202)
    press(page, "ada", Keys.ENTER)
    page.wait_for("on its way")

    assert [body for _, body in account_api.requests] == [
        {"token": TOKEN, "password": "abc"},
        {"token": TOKEN, "password": "abcdefgh"},
        {"username": "ada"},
    ]


def press(page: AccountPage, *keys: str) -> None:
    for key in keys:
        ActionChains(page.browser).send_keys(key).perform()


def focus_is_visible(page: AccountPage) -> bool:
    style = "const style = getComputedStyle(document.activeElement); return style.outlineStyle + style.outlineWidth"
    return bool(page.browser.execute_script(style) == "solid3px")


# Colors of each visible text, and of each border of an input or button, with the color behind it.
COLORS = """
const rgb = (color) => color.match(/[\\d.]+/g).map(Number);
const behind = (element) => {
  for (let one = element; one; one = one.parentElement) {
    const color = rgb(getComputedStyle(one).backgroundColor);
    if (color.length < 4 || color[3] === 1) return color;
  }
};
const pairs = [];
for (const element of document.querySelectorAll("body *")) {
  if (!element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  if ([...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())) {
    pairs.push([element.textContent.trim(), rgb(style.color), behind(element), 4.5]);
  }
  if (element.matches("input:not([type=checkbox]), button")) {
    pairs.push([`border of ${element.id || element.textContent}`, rgb(style.borderTopColor),
      behind(element.parentElement), 3]);
  }
}
return pairs;
"""


def contrast(first: list[float], second: list[float]) -> float:
    """Return the contrast ratio of two colors (WCAG 2.2)."""

    def luminance(color: list[float]) -> float:
        parts = [part / 255 for part in color[:3]]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def assert_fits(page: AccountPage, width: int) -> None:
    """Assert that nothing is wider than the screen, text has contrast, and controls are large enough to touch."""
    shown = page.browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]")
    assert shown == [width, width]
    pairs: list[Any] = page.browser.execute_script(COLORS)
    low = [(text, contrast(front, back)) for text, front, back, least in pairs if contrast(front, back) < least]
    assert pairs and low == []
    controls = "button, .check, input:not([type=checkbox])"
    heights = f"""return [...document.querySelectorAll('{controls}')].filter(one => one.checkVisibility())
        .map(one => one.getBoundingClientRect().height)"""
    assert all(height >= 44 for height in page.browser.execute_script(heights))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "scale"), [(320, 1), (390, 1), (640, 2)])
def test_every_view_is_readable_on_a_phone(
    page: AccountPage, account_api: FakeApi, scheme: str, width: int, scale: float
) -> None:
    page.emulate(width, scheme, scale)
    css_width = round(width / scale)
    for fragment, field, done in (
        ("", "username", "on its way"),
        (RESET, "password", "is changed"),
        (VERIFY, None, "is confirmed"),
    ):
        values = {field: "a-very-long-name-without-any-space@subdomain.school.example.org"} if field else {}
        page.open(fragment)
        assert_fits(page, css_width)
        if field:
            account_api.answer_invalid(field, "invalid", SHORT, COMMON)
            page.submit(**values)
            page.wait_for(COMMON)
            assert_fits(page, css_width)
        account_api.answer(429)
        page.submit(**values)
        page.wait_for("Too many attempts")
        assert_fits(page, css_width)
        account_api.answer_invalid("token", "invalid_token", "The token is invalid.")
        if field != "username":
            page.submit(**values)
            page.wait_for("This link does not work")
            assert_fits(page, css_width)
            page.open(fragment)
        account_api.answer(204)
        account_api.may_respond.clear()
        page.submit(**values)
        page.wait_for("Sending…")
        assert_fits(page, css_width)
        account_api.may_respond.set()
        page.wait_for(done)
        assert_fits(page, css_width)
