"""Argument types of manage.py."""

import argparse
from datetime import date, timedelta


def parse_date(text: str) -> date:
    """Return the date of an argument such as 2026-11-25."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-25") from None


def parse_duration(text: str) -> timedelta:
    """Return the duration of a number of minutes, hours or days: 30m, 2h, 7d."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if not text[:-1].isdigit() or text[-1:] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30m, 2h or 7d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})
