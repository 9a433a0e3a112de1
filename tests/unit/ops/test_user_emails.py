"""What an operator sees of a user's emails."""

import argparse
import json

import pytest

from chalicelib.core import clock
from chalicelib.core.roles import Role
from chalicelib.models.base import Transaction
from chalicelib.models.throttles import Throttle
from chalicelib.models.tickets import Ticket, TicketKind
from chalicelib.models.users import User
from chalicelib.services import accounts, rate_limits
from ops import commands, user_emails
from tests.factories import create_user


def test_state_of_a_users_emails(aws: None, capsys: pytest.CaptureFixture[str]) -> None:
    ada = create_user(Role.STUDENT, name="ada")
    accounts.change_email(ada, "ada@new.example")
    User.set_email_preferences(ada.id, {"reports"}, set())
    user = User.find(ada.id)
    assert user is not None
    Ticket.replace(TicketKind.VERIFY, user, "s" * 26, 2**31)
    transaction = Transaction()
    Throttle.add_reservation(transaction, rate_limits.resets_of(ada.id), int(clock.now().timestamp()))
    transaction.run()

    commands.user_emails(argparse.Namespace(name="ada@new.example"))

    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["email"], shown["email_verified"]) == (ada.id, "ada@new.example", False)
    assert (shown["is_active"], shown["unsubscribed"]) == (True, ["reports"])
    hold = clock.parse_timestamp(shown["resets_from"]) - clock.now()
    assert 23.9 < hold.total_seconds() / 3600 < 24
    assert shown["reset_emails_in_this_hour"] == 1
    assert sorted(email["kind"] for email in shown["pending"]) == ["email_changed", "verification"]
    assert [link["kind"] for link in shown["links"]] == ["verify"]
    assert "hash" not in json.dumps(shown)


def test_user_without_emails(aws: None) -> None:
    ada = create_user(Role.STUDENT, name="ada")

    shown = user_emails.show(ada.username)

    assert (shown["resets_from"], shown["reset_emails_in_this_hour"]) == (None, 0)
    assert shown["pending"] == shown["links"] == []


def test_unknown_user_is_an_error(aws: None) -> None:
    with pytest.raises(commands.CommandError, match="There is no user ada"):
        commands.user_emails(argparse.Namespace(name="ada"))
