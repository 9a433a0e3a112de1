"""The emails of all kinds as text and as HTML."""

import re
from collections import Counter
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from chalicelib.adapters.ses import EmailMessage
from chalicelib.core import resources
from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.models.tickets import LIFETIMES, TicketKind
from chalicelib.services import email_rendering
from ops.email_preview import SAMPLE_VALUES, create_sample

TO = "ada@example.org"
UNSUBSCRIBE_URL = "https://api.example.org/unsubscribe/?token=x&y"
LINKED_KINDS = [kind for kind, values in SAMPLE_VALUES.items() if "link" in values]
ACCOUNT_KINDS = [kind for kind in EmailKind if kind not in PREFERENCE_OF]
VOID_ELEMENTS = {"meta", "br"}


class Document(HTMLParser):
    """The elements and the shown text of an email's HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags = Counter[str]()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.shown = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags[tag] += 1
        self.attributes += attributes
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data

    def links(self) -> set[str]:
        return {value for name, value in self.attributes if name == "href"}


def render(kind: EmailKind, unsubscribe_url: str = "", **values: str) -> EmailMessage:
    return email_rendering.render(kind, TO, SAMPLE_VALUES[kind] | values, unsubscribe_url=unsubscribe_url)


@pytest.mark.parametrize("kind", EmailKind)
def test_email_has_a_short_subject_a_text_and_html(kind: EmailKind) -> None:
    email = create_sample(kind)

    assert email.to == TO
    assert 10 < len(email.subject) <= 60
    assert email.text.startswith("EduFlow\n\n") and "You get th" in email.text
    assert not email.text.endswith("\n\n")
    for part in (email.subject, email.text, email.html):
        assert "$" not in part
    document = Document(email.html)
    assert document.open == []
    assert ("lang", "en") in document.attributes
    assert document.tags["h1"] == 1
    assert "You get th" in document.shown


@pytest.mark.parametrize("kind", EmailKind)
def test_html_has_no_external_resource_and_is_not_clipped(kind: EmailKind) -> None:
    html = create_sample(kind).html

    document = Document(html)
    assert not document.tags.keys() & {"img", "link", "script", "iframe", "video", "svg", "form"}
    assert not {name for name, _ in document.attributes} & {"src", "srcset", "background"}
    assert "url(" not in html and "@import" not in html
    assert len(html.encode()) < 20_000


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, values in SAMPLE_VALUES.items() for name in values])
def test_each_value_is_shown_and_required(kind: EmailKind, name: str) -> None:
    values = SAMPLE_VALUES[kind]
    email = email_rendering.render(kind, TO, values)

    assert values[name] in email.text
    assert values[name] in Document(email.html).shown
    with pytest.raises(KeyError, match=name):
        email_rendering.render(kind, TO, {other: value for other, value in values.items() if other != name})


@pytest.mark.parametrize("kind", SAMPLE_VALUES)
def test_text_and_html_have_the_same_values(kind: EmailKind) -> None:
    text, html = (set(resources.template(f"{kind}.{suffix}").get_identifiers()) for suffix in ("txt", "html"))

    assert {"link" if name == "button" else name for name in html} == text


@pytest.mark.parametrize("kind", LINKED_KINDS)
def test_link_is_a_line_of_the_text_and_all_links_of_the_html(kind: EmailKind) -> None:
    link = "https://school.example.org/account/?a=1&b=2#token=x"

    email = render(kind, link=link)

    assert link in email.text.splitlines()
    assert Document(email.html).links() == {link}
    assert "a=1&b" not in email.html.replace("a=1&amp;b", "")


@pytest.mark.parametrize("kind", [kind for kind in SAMPLE_VALUES if kind not in LINKED_KINDS])
def test_email_without_a_link_has_none(kind: EmailKind) -> None:
    email = render(kind)

    assert Document(email.html).links() == set()
    assert "://" not in email.text + email.html


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, values in SAMPLE_VALUES.items() for name in values if name != "link"]
)
def test_value_of_a_user_is_text(kind: EmailKind, name: str) -> None:
    email = render(kind, **{name: '<b>"O\'Hara" & $link\r\n\u202e${owner}</b>'})

    shown = '<b>"O\'Hara" & $link ${owner}</b>'
    assert shown in email.text
    assert shown in Document(email.html).shown
    assert "<b>" not in email.html
    assert len(email.subject.splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, values in SAMPLE_VALUES.items() for name in values if name != "link"]
)
def test_value_of_a_user_makes_no_link(kind: EmailKind, name: str) -> None:
    email = render(kind, **{name: "pay at http://evil.example/x or www.evil.example"})

    for part in (email.subject, email.text, email.html):
        assert "http://evil" not in part and "evil.example" not in part
    assert "pay at http[:]//evil[.]example/x or www[.]evil[.]example" in email.text


def test_long_title_is_shortened_in_the_subject_only() -> None:
    title = "word " * 39 + "word"

    email = render(EmailKind.ENROLLMENT, course=title)

    assert email.subject.startswith("You are enrolled in word word") and email.subject.endswith("wo…")
    assert len(email.subject) <= 78
    assert title in email.text
    assert title in email.html


def test_subject_of_78_characters_is_not_shortened() -> None:
    title = "x" * (78 - len("You are enrolled in "))

    assert render(EmailKind.ENROLLMENT, course=title).subject == f"You are enrolled in {title}"
    assert render(EmailKind.ENROLLMENT, course=title + "x").subject == f"You are enrolled in {title[:-1]}…"


@pytest.mark.parametrize("kind", ACCOUNT_KINDS)
def test_account_email_never_has_an_unsubscribe_link(kind: EmailKind) -> None:
    email = render(kind, unsubscribe_url=UNSUBSCRIBE_URL)

    assert email.unsubscribe_url == ""
    assert "nsubscribe" not in email.text + email.html


def test_unsubscribe_link_is_shown_in_both_parts() -> None:
    email = render(EmailKind.ENROLLMENT, unsubscribe_url=UNSUBSCRIBE_URL)

    assert email.unsubscribe_url == UNSUBSCRIBE_URL
    assert email.text.splitlines()[-1] == UNSUBSCRIBE_URL
    assert Document(email.html).links() == {UNSUBSCRIBE_URL}
    assert "Unsubscribe from these emails" in email.html


def test_email_without_unsubscribe_url_does_not_mention_it() -> None:
    email = render(EmailKind.ENROLLMENT)

    assert "nsubscribe" not in email.text + email.html


SHOWN_LIFETIMES = {
    EmailKind.PASSWORD_RESET: (LIFETIMES[TicketKind.RESET], timedelta(minutes=30), "for 30 minutes"),
    EmailKind.VERIFICATION: (LIFETIMES[TicketKind.VERIFY], timedelta(days=7), "for 7 days"),
}


@pytest.mark.parametrize("kind", SHOWN_LIFETIMES)
def test_lifetime_of_the_link_is_shown(kind: EmailKind) -> None:
    lifetime, expected, text = SHOWN_LIFETIMES[kind]

    assert lifetime == expected
    email = render(kind)
    assert text in email.text
    assert email.html.count(text) == 2  # in the preheader, too


@pytest.mark.parametrize(
    ("lifetime", "text"),
    [
        (timedelta(minutes=119), "119 minutes"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(days=1), "24 hours"),
        (timedelta(days=2), "2 days"),
    ],
)
def test_lifetime_is_shown_in_its_largest_unit(monkeypatch: pytest.MonkeyPatch, lifetime: timedelta, text: str) -> None:
    monkeypatch.setitem(email_rendering._LIFETIMES, EmailKind.VERIFICATION, lifetime)

    assert f"The link works for {text}." in render(EmailKind.VERIFICATION).text


@pytest.mark.parametrize("kind", ACCOUNT_KINDS)
def test_account_email_says_what_to_do_if_it_was_not_requested(kind: EmailKind) -> None:
    email = render(kind)

    advice = r"If you (did not|have no)"
    assert re.search(advice, email.text)
    assert re.search(advice, unescape(email.html).partition("<h1")[2])


def test_lines_of_the_text_part_are_short() -> None:
    for kind in EmailKind:
        lines = create_sample(kind).text.splitlines()

        assert [line for line in lines if len(line) > 90 and "://" not in line] == [], kind
