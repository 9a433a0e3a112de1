"""The operator's command line: ``python manage.py --help``."""

import argparse
import getpass
import json
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from infra import config
from infra.config import LOCAL
from infra.local_stage import HOME, HOST, aws_environment, running_environment
from ops import arguments

DEMO_PASSWORD = "learn-with-eduflow"  # noqa: S105  of the local stage only; `make run` prints it

_FOLLOW_SECONDS = 2
_LOG_DELAY = timedelta(minutes=1)  # how late CloudWatch may show a line

# chalicelib and most of ops are imported by the commands: they read the environment that _load_stage_environment sets.


class CommandError(Exception):
    """The command cannot be carried out; the message is for the operator."""


def main() -> int:
    """Run the command and return the exit status."""
    options = _parser().parse_args()
    try:
        _load_stage_environment(options.stage)
        _run(options)
        sys.stdout.flush()
    except CommandError as error:
        print(error, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, EOFError):
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `manage.py ... | head`: https://docs.python.org/3/library/signal.html#note-on-sigpipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    """Run the command; turn the errors that it can raise into messages.

    Raises:
        CommandError: The command failed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from chalicelib.core.errors import DomainError
    from chalicelib.security.signing_keys import InvalidSigningKeys

    try:
        options.run(options)
    except DomainError as error:
        raise CommandError("\n".join([error.detail, *(f"{f.field}: {f.message}" for f in error.fields)])) from error
    except BotoCoreError as error:
        raise CommandError(f"AWS is not reachable for the stage {options.stage}: {error}") from error
    except ClientError as error:
        raise CommandError(f"AWS rejected a call for the stage {options.stage}: {error}") from error
    except InvalidSigningKeys as error:
        raise CommandError(str(error)) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py", description="Operate a stage of EduFlow.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], None], help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("--stage", default=LOCAL, help="the Chalice stage (default: %(default)s)")
        command.set_defaults(run=run)
        return command

    admin = add(
        "create-admin",
        _create_admin,
        "Create an admin account. The password is read from EDUFLOW_PASSWORD or prompted for.",
    )
    admin.add_argument("username")
    admin.add_argument("email")
    add("demo", _demo, "Create demo data, once per stage. After an interruption, run it again.")
    job = add("run", lambda options: _JOBS[options.job](options), "Run a scheduled job now.")
    job.add_argument("job", choices=_JOBS)
    job.add_argument(
        "--date",
        type=arguments.parse_date,
        metavar="YYYY-MM-DD",
        help="daily-report: regenerate the report of this day and of the days after it",
    )
    job.add_argument(
        "--email", action="store_true", help="daily-report: send the latest report to all admins, even if it was sent"
    )
    queue = add("queue", _queue_status, "Show the number of messages of each queue by state, as JSON lines.")
    queue.add_argument("what", choices=["status"])
    add("redrive", _redrive, "Move the dead letters of all queues back into their queues.")
    rotation = add("rotate-keys", _rotate_keys, "Publish a new signing key. No user is logged out.")
    rotation.add_argument(
        "--compromised", action="store_true", help="revoke all other keys: all users have to log in again"
    )
    enrollment = add("enrollment", _show_enrollment, "Show an enrollment and the state of its email, as JSON.")
    enrollment.add_argument("what", choices=["show"])
    enrollment.add_argument("id", metavar="ID")
    logs = add("logs", _logs, "Show the log lines of all functions, oldest first, as JSON lines.")
    logs.add_argument("--request-id", metavar="ID", help="only the lines of this request, and API Gateway's")
    logs.add_argument(
        "--since",
        type=arguments.parse_duration,
        default="1h",
        metavar="AGE",
        help="such as 30m, 2h or 7d (default: %(default)s)",
    )
    logs.add_argument("--follow", action="store_true", help="continue with new lines until Ctrl-C")
    return parser


def _load_stage_environment(stage: str) -> None:
    """Set the environment of the stage's functions, and for the local stage its AWS.

    Raises:
        CommandError: The stage does not exist.
    """
    try:
        os.environ.update(config.host_variables(config.load_stage(stage)))
    except config.OperatorError as error:
        raise CommandError(str(error)) from error
    config.configure_aws_endpoint(stage)
    if stage == LOCAL:
        default = f"http://{HOST}:{os.environ.get('AWS_PORT', '4566')}"
        os.environ.update(running_environment(HOME) or aws_environment(os.environ.get("AWS_ENDPOINT_URL") or default))
    from chalicelib.observability import logs

    logs.configure(sys.stderr)  # standard output is for the command's result


def _create_admin(options: argparse.Namespace) -> None:
    from pydantic import ValidationError

    from chalicelib.schemas.accounts import RegisterRequest
    from chalicelib.services import accounts

    password = os.environ.get("EDUFLOW_PASSWORD") or getpass.getpass(f"Password for {options.username}: ")
    try:
        account = RegisterRequest(username=options.username, email=options.email, password=password)
        user = accounts.create_admin(account.username, account.email, account.password)
    except ValidationError as error:
        raise CommandError("\n".join(f"{one['loc'][0]}: {one['msg']}" for one in error.errors())) from error
    print(f"Created the admin {user.username} ({user.email}) with the ID {user.id}.")


def _demo(options: argparse.Namespace) -> None:
    from ops import seed

    if config.load_stage(options.stage).cache:
        raise CommandError(
            "The demo data cannot be created on a stage with a cache: its Valkey is reached from its VPC only."
        )
    password = os.environ.get("EDUFLOW_PASSWORD") or (DEMO_PASSWORD if options.stage == LOCAL else None)
    if password is None:
        raise CommandError("Set EDUFLOW_PASSWORD: on a public stage, the demo accounts need a password of their own.")
    try:
        seed.seed(password, lambda step: print(f"  {step} ...", file=sys.stderr))
    except seed.AlreadySeededError:
        print("The demo data exists already.", file=sys.stderr)
    shown = password if password == DEMO_PASSWORD else "EDUFLOW_PASSWORD"
    print(f"Demo accounts (password: {shown})")
    for role, name in (("admin", seed.ADMIN), ("instructor", "grace.h"), ("student", "ada")):
        print(f"  {role:<11} {name}")


def _daily_report(options: argparse.Namespace) -> None:
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
    from chalicelib.models.reports import Report
    from chalicelib.models.users import User
    from chalicelib.services import report_emails

    latest = Report.latest(date.max.isoformat())
    if latest is None:
        raise CommandError("There is no report yet: the first one is of the day after the first registration.")
    for admin in User.active_admins():
        report_emails.send(latest.date, admin.email)
        print(f"Sent the report of {latest.date} to {admin.email}.", file=sys.stderr)


def _cleanup(options: argparse.Namespace) -> None:
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


_JOBS = {"daily-report": _daily_report, "cleanup": _cleanup}


def _queue_status(options: argparse.Namespace) -> None:
    from ops import dead_letters

    for name in dead_letters.QUEUES:
        print(json.dumps({"queue": name} | dead_letters.status(name)))


def _redrive(options: argparse.Namespace) -> None:
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


def _progress(text: str) -> None:
    """Show the progress of a long command, on one line of a terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"  {text}", end=end, file=sys.stderr, flush=True)


def _rotate_keys(options: argparse.Namespace) -> None:
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


def _show_enrollment(options: argparse.Namespace) -> None:
    from ops import show_enrollment

    try:
        print(json.dumps(show_enrollment.show(options.id), indent=2))
    except show_enrollment.EnrollmentNotFoundError as error:
        raise CommandError(str(error)) from error


def _logs(options: argparse.Namespace) -> None:
    from ops import function_logs

    start, shown = datetime.now(UTC) - options.since, set[str]()
    while True:
        if options.request_id:
            messages = function_logs.messages_of_request(options.stage, start, options.request_id)
        else:
            messages = function_logs.messages(options.stage, start)
        for message in (message for message in messages if message not in shown):
            print(message, flush=True)
        shown.update(messages)
        if not options.follow:
            break
        start = max(start, datetime.now(UTC) - _LOG_DELAY)
        time.sleep(_FOLLOW_SECONDS)
    if not shown:
        print("No log lines were found.", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
