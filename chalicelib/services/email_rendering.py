"""Emails as text and as HTML: one layout for all kinds, with the content of each kind in templates of its own."""

import html
from collections.abc import Mapping
from datetime import timedelta
from string import Template
from typing import NamedTuple

from chalicelib.adapters import ses
from chalicelib.core import resources
from chalicelib.core.email_kinds import PREFERENCE_OF, EmailKind
from chalicelib.core.text import plain
from chalicelib.models.tickets import LIFETIMES, TicketKind

SCHOOL = "EduFlow"
_LINK = "link"
# RFC 5322, section 2.1.1: lines should not be longer. A course's title can be.
_MAX_SUBJECT_LENGTH = 78
_LIFETIMES = {
    EmailKind.VERIFICATION: LIFETIMES[TicketKind.VERIFY],
    EmailKind.PASSWORD_RESET: LIFETIMES[TicketKind.RESET],
}


class _Frame(NamedTuple):
    """The texts around the content of an email, as templates. Email programs show the preheader in the inbox."""

    subject: str
    heading: str
    preheader: str
    reason: str  # why the recipient gets the email
    button: str = ""


_FRAMES = {
    EmailKind.ENROLLMENT: _Frame(
        subject="You are enrolled in $course",
        heading="You are enrolled",
        preheader="Log in to your school's app to start.",
        reason="You get this email because you enrolled in a course at $school.",
    ),
    EmailKind.PLACE_AVAILABLE: _Frame(
        subject="You have a place in $course",
        heading="A place became free for you",
        preheader="You are enrolled. Log in to your school's app to start.",
        reason="You get this email because you joined the waitlist of a course at $school.",
    ),
    EmailKind.VERIFICATION: _Frame(
        subject="Confirm your email address",
        heading="Confirm your email address",
        preheader="The link works for $lifetime.",
        reason="You get this email because this address was entered for an account at $school.",
        button="Confirm email address",
    ),
    EmailKind.PASSWORD_RESET: _Frame(
        subject="Choose a new password",
        heading="Choose a new password",
        preheader="The link works once, and for $lifetime.",
        reason="You get this email because a new password was requested for your account at $school.",
        button="Choose a new password",
    ),
    EmailKind.PASSWORD_CHANGED: _Frame(
        subject="Your password was changed",
        heading="Your password was changed",
        preheader="If you did not change it, ask for a new one now.",
        reason="You get this email because it is about the security of your account at $school.",
        button="Ask for a new password",
    ),
    EmailKind.EMAIL_CHANGED: _Frame(
        subject="Your email address was changed",
        heading="Your email address was changed",
        preheader="If you did not change it, contact your school at once.",
        reason="You get this email because this was the address of your account at $school.",
    ),
    EmailKind.REPORT: _Frame(
        subject="$school: $new_enrollments new enrollments on $day",
        heading="Daily report",
        preheader="$new_users new users. $enrollments enrollments and $users users in total.",
        reason="You get the daily report because you are an admin of $school.",
    ),
}


def render(kind: EmailKind, to: str, values: Mapping[str, str], *, unsubscribe_url: str = "") -> ses.EmailMessage:
    """Return an email to an address with the values of its kind.

    Values are texts of users: links and formatting characters are removed from them, and HTML is escaped. Only the
    value ``link`` is a trusted URL. Emails about the account itself have no unsubscribe link, whatever the argument.

    Raises:
        KeyError: A value is missing.
    """
    texts = {name: value if name == _LINK else plain(value) for name, value in values.items()}
    if kind in _LIFETIMES:
        texts["lifetime"] = _format_duration(_LIFETIMES[kind])
    escaped = {name: html.escape(text) for name, text in texts.items()}
    if _FRAMES[kind].button:
        parts = {_LINK: escaped[_LINK], "label": html.escape(_FRAMES[kind].button)}
        escaped["button"] = _substitute("button.html", parts)
    return render_parts(kind, to, texts, escaped, unsubscribe_url=unsubscribe_url)


def render_parts(
    kind: EmailKind, to: str, texts: Mapping[str, str], html_parts: Mapping[str, str], *, unsubscribe_url: str = ""
) -> ses.EmailMessage:
    """Return an email with trusted values: those of its text part, and the HTML of its HTML part.

    Raises:
        KeyError: A value is missing.
    """
    frame = _FRAMES[kind]
    url = unsubscribe_url if kind in PREFERENCE_OF else ""
    subject = _shorten(Template(frame.subject).substitute({**texts, "school": SCHOOL}))
    return ses.EmailMessage(
        to=to,
        subject=subject,
        text=_lay_out("txt", kind, frame, {**texts, "school": SCHOOL}, subject, url),
        html=_lay_out("html", kind, frame, {**html_parts, "school": SCHOOL}, html.escape(subject), html.escape(url)),
        unsubscribe_url=url,
    )


def _lay_out(suffix: str, kind: EmailKind, frame: _Frame, values: Mapping[str, str], subject: str, url: str) -> str:
    parts = {
        "school": SCHOOL,
        "subject": subject,
        "preheader": Template(frame.preheader).substitute(values),
        "heading": Template(frame.heading).substitute(values),
        "content": _substitute(f"{kind}.{suffix}", values),
        "reason": Template(frame.reason).substitute(values),
        "unsubscribe": _substitute(f"unsubscribe.{suffix}", {_LINK: url}) if url else "",
    }
    return _substitute(f"layout.{suffix}", parts) + "\n"


def _substitute(template: str, values: Mapping[str, str]) -> str:
    return resources.template(template).substitute(values).strip()


def _shorten(subject: str) -> str:
    return subject if len(subject) <= _MAX_SUBJECT_LENGTH else subject[: _MAX_SUBJECT_LENGTH - 1].rstrip() + "…"


def _format_duration(duration: timedelta) -> str:
    """Return a duration as text, in a unit of which it has two or more, rounded down."""
    for unit, name in ((timedelta(days=1), "days"), (timedelta(hours=1), "hours")):
        if duration >= 2 * unit:
            return f"{duration // unit} {name}"
    return f"{duration // timedelta(minutes=1)} minutes"
