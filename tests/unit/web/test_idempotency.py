"""The header Idempotency-Key: an sf-string (RFC 8941 §3.3.3), or its characters without quotes."""

import re

import pytest
from chalice.app import Request
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.core.errors import InvalidInput
from chalicelib.web.idempotency import KEY_PATTERN, parse_idempotency_key

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def request_with(*values: str) -> Request:
    name = "idempotency-key"
    event = {
        "headers": {name: values[-1]} if values else {},
        "multiValueHeaders": {name: [*values]} if values else {},
        "multiValueQueryStringParameters": None,
        "pathParameters": None,
        "requestContext": {"httpMethod": "POST", "resourcePath": "/api/v1/courses"},
        "stageVariables": None,
        "body": None,
        "isBase64Encoded": False,
    }
    return Request(event)


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ('"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (r'"a\"b\\c"', r'a"b\c'),
        ('"a,b;c"', "a,b;c"),
        ("a/b:c", "a/b:c"),
        ("a" * 64, "a" * 64),
        ('"' + r"\"" * 64 + '"', '"' * 64),
    ],
)
def test_string_or_token_is_a_key(header: str, key: str) -> None:
    assert parse_idempotency_key(request_with(header)) == key


@pytest.mark.parametrize(
    "header",
    ["", '""', '"', '"a', 'a"', "a b", '"a b"', "a,b", "a;b=1", '"a";b=1', '"a", "b"', r'"a\b"', '"a"b"', "ä", '"ä"',
     "a" * 65, '"' + "a" * 65 + '"', "a\n", ":a\x00:", "?1\t", "<a>", " a"],
)  # fmt: skip
def test_other_header_is_rejected(header: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_idempotency_key(request_with(header))

    [field] = caught.value.fields
    assert (field.field, field.code) == ("Idempotency-Key", "invalid_key")


def test_request_without_header_has_no_key() -> None:
    assert parse_idempotency_key(request_with()) is None


def test_repeated_header_is_rejected() -> None:
    with pytest.raises(InvalidInput):
        parse_idempotency_key(request_with("a", "a"))


@given(st.text(VISIBLE, min_size=1, max_size=64))
def test_any_visible_text_is_a_key_in_quotes(key: str) -> None:
    quoted = '"' + key.replace("\\", r"\\").replace('"', r"\"") + '"'

    assert parse_idempotency_key(request_with(quoted)) == key


@given(st.from_regex(re.compile(KEY_PATTERN, re.ASCII), fullmatch=True))
def test_documented_pattern_is_what_is_accepted(header: str) -> None:
    key = parse_idempotency_key(request_with(header.removesuffix("\n")))

    assert key is not None and 1 <= len(key) <= 64
