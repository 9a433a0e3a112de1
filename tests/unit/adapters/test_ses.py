"""The bytes of an email: what SES and the recipient's email program get."""

from email import message_from_bytes
from email.policy import default

import pytest

from chalicelib.adapters.ses import EmailMessage, message_bytes

SENDER = "eduflow@example.org"
MAILTO = f"<mailto:{SENDER}?subject=unsubscribe>"


def raw_headers(url: str) -> list[bytes]:
    email = EmailMessage("ada@example.org", "A subject", "Text", "<p>Text</p>", unsubscribe_url=url)
    return message_bytes(email, SENDER).partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.mark.parametrize("length", [40, 120, 400])
def test_unsubscribe_url_is_unchanged_on_one_line(length: int) -> None:
    url = "https://api.example.org/stage/?token=".ljust(length, "a")

    lines = raw_headers(url)

    assert f"List-Unsubscribe: <{url}>, {MAILTO}".encode() in lines
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


def test_email_with_unsubscribe_headers_is_parsed() -> None:
    url = "https://api.example.org/?token=" + "a" * 90
    email = EmailMessage("ada@example.org", "Größe", "Text", "<p>é</p>", unsubscribe_url=url)

    parsed = message_from_bytes(message_bytes(email, SENDER), policy=default)

    assert parsed["List-Unsubscribe"] == f"<{url}>, {MAILTO}"
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert (parsed["From"], parsed["To"], parsed["Subject"]) == (SENDER, "ada@example.org", "Größe")
    text, page = (parsed.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None and text.get_content().strip() == "Text"
    assert page is not None and page.get_content().strip() == "<p>é</p>"


def test_email_that_cannot_be_stopped_has_no_unsubscribe_header() -> None:
    assert [line for line in raw_headers("") if b"unsubscribe" in line.lower()] == []
