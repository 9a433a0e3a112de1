"""Text of users in emails."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.text import plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Knots & links", "Knots & links"),
        ("Python 3.11, e.g. for beginners. And more", "Python 3.11, e.g. for beginners. And more"),
        ("Pay at https://evil.example/pay?x=1", "Pay at https[:]//evil[.]example/pay?x=1"),
        ("HTTPS://EVIL.EXAMPLE", "HTTPS[:]//EVIL[.]EXAMPLE"),
        ("www.evil.example", "www[.]evil[.]example"),
        ("mail ada@evil.example", "mail ada@evil[.]example"),
        ("b\u00fccher.example", "b\u00fccher[.]example"),
        ("Invoice\n\nYour account\r\nis\tsuspended", "Invoice Your account is suspended"),
        ("a\0b\x1b[31m", "ab[31m"),
        ("\u202egnp.exe\u2066\u200b", "gnp[.]exe"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),
    ],
)
def test_plain_text(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text())
def test_plain_text_is_one_line_without_links(text: str) -> None:
    result = plain(text)

    assert len(result.splitlines()) <= 1
    assert plain(result) == result
    assert "http://" not in plain(f"{text} http://evil.example")
