"""The account page in Chromium, from a request to the email and its link."""

import re

from selenium import webdriver

from tests.clients import PASSWORD, log_in, register, unique
from tests.e2e.account_page import AccountPage
from tests.stack import RunningStack
from tests.waiting import eventually

NEW_PASSWORD = "judge my vow quickly"


def link_in_emails(stack: RunningStack, address: str, view: str) -> str:
    """Wait for an email to this address with a link to a view of the page, and return the link."""
    pattern = re.compile(rf"http\S+/api/account/#{view}=\w+")

    def newest() -> str:
        links = [link for mail in stack.emails(address) for link in pattern.findall(mail["BodyText"])]
        return links[-1] if links else ""

    return str(eventually(newest))


def test_forgotten_password_is_replaced_by_the_link(stack: RunningStack, browser: webdriver.Chrome) -> None:
    student = register(stack.api, "student")
    address = student.get("/auth/me/").json()["email"]
    page = AccountPage(browser, stack.api.url)

    page.open()
    page.submit(username=address)
    page.wait_for("an email with a link is on its way")
    link = link_in_emails(stack, address, "reset")
    browser.get(link)
    page.submit(password="short")
    page.wait_for("This password is too short.")
    page.submit(password=NEW_PASSWORD)
    page.wait_for("Your password is changed")

    assert student.get("/auth/me/").status_code == 401, "the reset ends all sessions"
    old = {"username": student.username, "password": PASSWORD}
    assert stack.api.call("POST", "/auth/login/", json=old).status_code == 401
    assert log_in(stack.api, student.username, NEW_PASSWORD).get("/auth/me/").status_code == 200
    page.open(link.removeprefix(page.url))
    page.submit(password=PASSWORD)
    page.wait_for("This link does not work")
    assert page.messages == []


def test_email_address_is_confirmed_by_the_link(stack: RunningStack, browser: webdriver.Chrome) -> None:
    student = register(stack.api, "student")
    profile = student.get("/auth/me/").json()
    page = AccountPage(browser, stack.api.url)

    browser.get(link_in_emails(stack, profile["email"], "verify"))
    page.wait_for("Confirm your email address")
    before = student.get("/auth/me/").json()
    page.submit()
    page.wait_for("Your email address is confirmed")

    assert (before["email_verified"], student.get("/auth/me/").json()["email_verified"]) == (False, True)
    assert page.messages == []


def test_unknown_account_gets_the_same_view(stack: RunningStack, browser: webdriver.Chrome) -> None:
    address = f"{unique('unknown')}@example.org"
    page = AccountPage(browser, stack.api.url)

    page.open()
    page.submit(username=address)

    page.wait_for(f"If an account belongs to {address}, an email with a link is on its way.")
