"""The commands of manage.py.

chalicelib and most of ops are imported by the commands: they read the environment that ops.cli sets.
"""

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any

from infra import config
from infra.config import LOCAL, LOCALSTACK, PRODUCTION
from infra.local_stage import DEMO_PASSWORD

_FOLLOW_SECONDS = 2
_LOG_DELAY = timedelta(minutes=1)  # how late CloudWatch may show a line


class CommandError(Exception):
    """The command cannot be carried out; the message is for the operator."""


def create_admin(options: argparse.Namespace) -> None:
    """Create an admin account."""
    from pydantic import ValidationError

    from chalicelib.schemas.accounts import RegisterRequest
    from chalicelib.services import accounts

    try:
        account = RegisterRequest(username=options.username, email=options.email, password="")
        account.password = os.environ.get("EDUFLOW_PASSWORD") or _prompt_for_password(options.username)
        user = accounts.create_admin(account.username, account.email, account.password)
    except ValidationError as error:
        raise CommandError("\n".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error
    print(f"Created the admin {user.username} ({user.email}) with the ID {user.id}.")


def _prompt_for_password(username: str) -> str:
    if not sys.stdin.isatty():
        raise CommandError("There is no terminal to read the password from: set EDUFLOW_PASSWORD.")
    return getpass.getpass(f"Password for {username}: ")


def unlock(options: argparse.Namespace) -> None:
    """Let a user log in again whose account is locked by failed logins."""
    from chalicelib.core.audit import OPERATOR, Action
    from chalicelib.models.identities import Identity
    from chalicelib.services import audit, password_attempts

    user_id = Identity.find_user_id(options.name)
    if user_id is None:
        raise CommandError(f"There is no user {options.name}.")
    number = password_attempts.unlock(user_id, audit.entry(OPERATOR, Action.USER_UNLOCKED, user_id).add_to)
    print(f"{options.name} can log in again." if number else f"{options.name} was not locked.")


def demo(options: argparse.Namespace) -> None:
    """Create the demo data."""
    from ops import seed

    if options.stage == PRODUCTION:
        raise CommandError("The demo data cannot be created on the production stage: its accounts share a password.")
    if config.load_stage(options.stage).cache:
        raise CommandError(
            "The demo data cannot be created on a stage with a cache: its Valkey is reached from its VPC only."
        )
    password = os.environ.get("EDUFLOW_PASSWORD") or (DEMO_PASSWORD if options.stage == LOCAL else None)
    if password is None or (password == DEMO_PASSWORD and options.stage not in (LOCAL, LOCALSTACK)):
        raise CommandError("Set EDUFLOW_PASSWORD: on a public stage, the demo accounts need a password of their own.")
    try:
        seed.seed(password, lambda step: print(f"  {step} ...", file=sys.stderr))
    except seed.AlreadySeededError:
        print("The demo data exists already.", file=sys.stderr)
    shown = password if password == DEMO_PASSWORD else "EDUFLOW_PASSWORD"
    print(f"Demo accounts (password: {shown})")
    for role, name in (("admin", seed.ADMIN), ("instructor", "grace.h"), ("student", "ada")):
        print(f"  {role:<11} {name}")


def daily_report(options: argparse.Namespace) -> None:
    """Generate the missing daily reports, or regenerate them from a day on."""
    from chalicelib.core import clock
    from chalicelib.services import reports

    now = clock.now()
    stored = [*(reports.regenerate_from(options.date, now) if options.date else reports.generate_missing(now))]
    for report in stored:
        print(json.dumps({"date": report.date, **report.numbers}))
    if not stored:
        print("All completed days have a report.", file=sys.stderr)
    if options.email:
        _email_report()


def _email_report() -> None:
    from chalicelib.core import ids
    from chalicelib.models.reports import Report
    from chalicelib.services import report_emails

    latest = Report.latest(date.max.isoformat())
    if latest is None:
        raise CommandError("There is no report yet: the first one is of the day after the first registration.")
    number = report_emails.request(latest, run=f"-{ids.new_suffix()}")
    print(f"The email of the report of {latest.date} is queued for {number} admins.", file=sys.stderr)


def cleanup(options: argparse.Namespace) -> None:
    """Run the cleanup."""
    from chalicelib.core import clock
    from chalicelib.services import cleanup

    if options.date or options.email:
        raise CommandError("--date and --email are options of daily-report.")

    def show_progress(step: str, number: int) -> bool:
        _progress(f"{step}: {number}")
        return True

    try:
        print(json.dumps(cleanup.run(clock.now(), should_continue=show_progress)))
    except cleanup.CleanupError as error:
        raise CommandError(f"These steps failed (see the log above): {error}") from error


JOBS = {"daily-report": daily_report, "cleanup": cleanup}


def queue_status(options: argparse.Namespace) -> None:
    """Print the number of messages of each queue by state."""
    from ops import dead_letters

    for name in dead_letters.QUEUES:
        print(json.dumps({"queue": name} | dead_letters.status(name)))


def failed_emails(options: argparse.Namespace) -> None:
    """Print the emails that were given up."""
    from ops import emails

    _print_lines(emails.failed(), none="No email was given up.")


def retry_emails(options: argparse.Namespace) -> None:
    """Queue the emails that were given up once more."""
    from ops import emails

    number = 0
    for number in emails.retry():
        _progress(f"{number} queued")
    print(json.dumps({"queued": number}))


def suppressed_addresses(options: argparse.Namespace) -> None:
    """Print the addresses that SES does not send to."""
    from ops import emails

    _print_lines(emails.suppressed(), none="The account's suppression list is empty.")


def _print_lines(rows: Iterable[dict[str, Any]], none: str) -> None:
    row = None
    for row in rows:
        print(json.dumps(row))
    if row is None:
        print(none, file=sys.stderr)


EMAILS = {"failed": failed_emails, "retry": retry_emails, "suppressed": suppressed_addresses}


def preview_email(options: argparse.Namespace) -> None:
    """Write the email of a kind with sample values: as a file for email programs, or one of its parts."""
    from chalicelib.core.email_kinds import EmailKind
    from ops import email_preview

    content = email_preview.render_sample(EmailKind(options.kind), options.part)
    if options.output is None:
        sys.stdout.buffer.write(content)
        return
    try:
        options.output.write_bytes(content)
    except OSError as error:
        raise CommandError(f"The file cannot be written: {error}") from error


def redrive(options: argparse.Namespace) -> None:
    """Move the dead letters of all queues back into their queues."""
    from ops import dead_letters

    for name in dead_letters.QUEUES:
        moved = 0
        try:
            for number in dead_letters.redrive(name):
                moved += number
                _progress(f"{name}: {moved} redriven")
        except dead_letters.RedriveError as error:
            raise CommandError(f"{name}: {moved} redriven, then the queue rejected messages: {error}") from error
        print(json.dumps({"queue": name, "redriven": moved}))


def reindex(options: argparse.Namespace) -> None:
    """Repair the rows of the courses in their lists and keywords."""
    from ops import reindex

    repairs = reindex.Repairs()
    for repairs in reindex.run():
        _progress(f"{repairs.rows} rows and {repairs.courses} courses compared")
    print(json.dumps(asdict(repairs)))


def replay_erasures(options: argparse.Namespace) -> None:
    """Erase the accounts again that were erased since a time."""
    from chalicelib.core import clock
    from ops import replay_erasures

    replay = replay_erasures.Replay()
    for replay in replay_erasures.run(clock.now() - options.since, clock.now()):
        _progress(f"{replay.found} erasures found")
    print(json.dumps(asdict(replay)))
    if replay.refused:
        raise CommandError(
            f"{len(replay.refused)} accounts could not be erased. Solve this, then run the command again."
        )


def _progress(text: str) -> None:
    """Show the progress of a long command, on one line of a terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"  {text}", end=end, file=sys.stderr, flush=True)


def rotate_keys(options: argparse.Namespace) -> None:
    """Publish a new signing key."""
    from chalicelib.core import clock
    from chalicelib.security.signing_keys import MAX_TOKEN_LIFETIME_SECONDS
    from ops import rotate_keys

    if options.compromised:
        key_id = rotate_keys.revoke_and_replace(clock.now())
        # Functions cache the keys for 5 minutes, and API Gateway caches the authorizer's policy for 5 minutes.
        print(f"The key {key_id} is the only one. Within 10 minutes all users are logged out.")
        return
    try:
        key_id = rotate_keys.rotate(clock.now())
    except rotate_keys.RotationInProgress as error:
        raise CommandError(str(error)) from error
    days = MAX_TOKEN_LIFETIME_SECONDS // 86400
    print(f"The key {key_id} signs from that time on. The previous key is trusted for {days} more days.")


def show_enrollment(options: argparse.Namespace) -> None:
    """Print an enrollment and the state of its email."""
    from ops import show_enrollment

    try:
        print(json.dumps(show_enrollment.show(options.id), indent=2))
    except show_enrollment.EnrollmentNotFoundError as error:
        raise CommandError(str(error)) from error


def user_emails(options: argparse.Namespace) -> None:
    """Print the state of a user's emails."""
    from ops import user_emails

    try:
        print(json.dumps(user_emails.show(options.name), indent=2))
    except user_emails.UserNotFoundError as error:
        raise CommandError(str(error)) from error


def logs(options: argparse.Namespace) -> None:
    """Print log lines of the functions, and with ``--follow`` new ones until Ctrl-C."""
    from ops import function_logs

    start, shown = datetime.now(UTC) - options.since, set[str]()
    while True:
        if options.request_id:
            messages = function_logs.messages_of_request(options.stage, start, options.request_id)
        else:
            messages = function_logs.messages(options.stage, start)
        for message in (message for message in messages if message not in shown):
            print(message, flush=True)
        shown = set(messages)  # the next request begins at a later time than this one
        if not options.follow:
            break
        start = max(start, datetime.now(UTC) - _LOG_DELAY)
        time.sleep(_FOLLOW_SECONDS)
    if not shown:
        print("No log lines were found.", file=sys.stderr)
