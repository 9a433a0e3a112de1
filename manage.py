"""What an operator types: ``python manage.py --help``."""

import argparse
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from devstack.stack import HOME, HOST, STAGE, aws_environment, running_environment
from infra import config

DEMO_PASSWORD = "learn-with-eduflow"  # noqa: S105  the local stage's, shown by `make run`


def main() -> int:
    """Run the command; the exit status."""
    options = _parser().parse_args()
    try:
        _enter(options.stage)
        from botocore.exceptions import BotoCoreError, ClientError

        from chalicelib.core.errors import DomainError
        from chalicelib.security.signing_keys import InvalidSigningKeys

        try:
            status: int = options.run(options)
        except DomainError as error:
            raise _Refused("\n".join([error.detail, *(f"{f.field}: {f.message}" for f in error.fields)])) from error
        except BotoCoreError as error:
            raise _Refused(f"AWS does not answer for the stage {options.stage}: {error}") from error
        except ClientError as error:
            raise _Refused(f"AWS refused on the stage {options.stage}: {error}") from error
        except InvalidSigningKeys as error:
            raise _Refused(str(error)) from error
    except _Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return status


class _Refused(Exception):
    """The command can't be done; the message is for the operator."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="manage.py", description="Operate a stage of EduFlow.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, help_: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("--stage", default=STAGE, help="the Chalice stage (default: %(default)s)")
        command.set_defaults(run=run)
        return command

    admin = add(
        "create-admin", _create_admin, "Open an admin's account; the password from EDUFLOW_PASSWORD, else asked for."
    )
    admin.add_argument("username")
    admin.add_argument("email")
    add("demo", _demo, "Make a school that looks real, once.")
    job = add("run", _run, "Run a scheduled job now.")
    job.add_argument("job", choices=_JOBS)
    job.add_argument("--date", type=date.fromisoformat, help="this day's report anew (YYYY-MM-DD), and those after it")
    queues = add("queue", _queue_status, "What the queues hold, as JSON lines.")
    queues.add_argument("what", choices=["status"])
    add("redrive", _redrive, "Put the dead letters of all queues back to work.")
    rotation = add("rotate-keys", _rotate_keys, "A new key for tokens; nobody is logged out.")
    rotation.add_argument(
        "--compromised", action="store_true", help="trust the old keys no more: everybody has to log in again"
    )
    logs = add("logs", _logs, "The Lambdas' log lines, oldest first, as JSON lines.")
    logs.add_argument("--request-id", help="only the lines of this request, in all functions")
    logs.add_argument("--since", type=_duration, default="1h", metavar="AGE", help="30m, 2h, 7d (default: %(default)s)")
    return parser


def _enter(stage: str) -> None:
    """Set the environment that the stage's functions have, and for the local stage its AWS."""
    try:
        os.environ.update(config.host_variables(config.load_stage(stage)))
    except config.OperatorError as error:
        raise _Refused(str(error)) from error
    config.configure_aws_endpoint(stage)
    if stage == STAGE:
        default = f"http://{HOST}:{os.environ.get('AWS_PORT', '4566')}"
        os.environ.update(running_environment(HOME) or aws_environment(os.environ.get("AWS_ENDPOINT_URL") or default))
    from chalicelib.observability import logs

    logs.configure(sys.stderr)  # standard output is for the command's answer


def _create_admin(options: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from chalicelib.schemas.accounts import RegisterRequest
    from chalicelib.services import accounts

    password = os.environ.get("EDUFLOW_PASSWORD") or getpass.getpass(f"Password for {options.username}: ")
    try:
        given = RegisterRequest(username=options.username, email=options.email, password=password)
        user = accounts.create_admin(given.username, given.email, given.password)
    except ValidationError as error:
        raise _Refused("\n".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())) from error
    print(f"Admin {user.username} ({user.email}) has the id {user.id}.")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from ops import seed

    if config.load_stage(options.stage).cache:
        raise _Refused(
            "The demo school cannot be created on a stage with a cache: its Valkey is reached from its VPC only."
        )
    password = os.environ.get("EDUFLOW_PASSWORD") or (DEMO_PASSWORD if options.stage == STAGE else None)
    if password is None:
        raise _Refused("Set EDUFLOW_PASSWORD: on a stage that others reach, the demo accounts need one of your own.")
    try:
        seed.seed(password, lambda work: print(f"  {work} ...", file=sys.stderr))
    except seed.AlreadySeededError:
        print("The demo school is there already.")
        return 0
    shown = password if password == DEMO_PASSWORD else "EDUFLOW_PASSWORD"
    print("Demo accounts (password: " + shown + ")")
    for role, name in (("admin", seed.ADMIN), ("instructor", "grace.h"), ("student", "ada")):
        print(f"  {role:<11} {name}")
    return 0


def _run(options: argparse.Namespace) -> int:
    if options.date and options.job != "daily-report":
        raise _Refused("--date is for the daily report.")
    return _JOBS[options.job](options)


def _daily_report(options: argparse.Namespace) -> int:
    from chalicelib.core import clock
    from chalicelib.services import reports

    now = clock.now()
    stored = reports.regenerate_from(options.date, now) if options.date else reports.generate_missing(now)
    count = 0
    for report in stored:
        print(json.dumps({"date": report.date, **report.numbers}))
        count += 1
    if not count:
        print("Every whole day has its report.", file=sys.stderr)
    return 0


def _run_cleanup(options: argparse.Namespace) -> int:
    from chalicelib.core import clock
    from chalicelib.services import cleanup

    def tell(step: str, number: int) -> bool:
        _progress(f"{step}: {number}")
        return True

    try:
        print(json.dumps(cleanup.run(clock.now(), should_continue=tell)))
    except cleanup.CleanupError as failed:
        raise _Refused(f"These steps failed (the log above says why): {failed}") from failed
    return 0


_JOBS = {"daily-report": _daily_report, "cleanup": _run_cleanup}


def _queue_status(options: argparse.Namespace) -> int:
    from ops import dead_letters

    for name in dead_letters.QUEUES:
        print(json.dumps({"queue": name} | dead_letters.status(name)))
    return 0


def _redrive(options: argparse.Namespace) -> int:
    from ops import dead_letters

    for name in dead_letters.QUEUES:
        moved = 0
        try:
            for number in dead_letters.redrive(name):
                moved += number
                _progress(f"{name}: {moved} redriven")
        except dead_letters.RedriveError as refused:
            raise _Refused(f"{name}: {moved} redriven, then the queue refused: {refused}") from refused
        print(json.dumps({"queue": name, "redriven": moved}))
    return 0


def _progress(text: str) -> None:
    """Show how far a long work is, on one line of a terminal."""
    end = "\r" if sys.stderr.isatty() else "\n"
    print(f"  {text}", end=end, file=sys.stderr, flush=True)


def _rotate_keys(options: argparse.Namespace) -> int:
    from chalicelib.core import clock
    from chalicelib.security import signing_keys

    try:
        key_id = (signing_keys.revoke_and_replace if options.compromised else signing_keys.rotate)(clock.now())
    except signing_keys.RotationInProgress as error:
        raise _Refused(str(error)) from error
    if options.compromised:
        # 5 minutes that functions keep what they read, and 5 that API Gateway keeps what the authorizer said.
        print(f"The key {key_id} is the only one: within 10 minutes no other is trusted, and everyone is logged out.")
        return 0
    days = signing_keys.MAX_TOKEN_LIFETIME_SECONDS // 86400
    print(f"The key {key_id} signs from that moment on; the one before it is trusted for {days} days more.")
    return 0


def _logs(options: argparse.Namespace) -> int:
    events = sorted(_log_events(options), key=lambda line: str(line["timestamp"]))
    for line in events:
        print(json.dumps(line))
    return 0


def _log_events(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    import boto3

    from infra.functions import FUNCTIONS, log_group

    client = boto3.client("logs")
    request: dict[str, Any] = {"startTime": int((datetime.now(UTC) - options.since).timestamp() * 1000)}
    if options.request_id:
        request["filterPattern"] = f'"{options.request_id}"'
    for group in (log_group(function, options.stage) for function in FUNCTIONS):
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **request)
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # the function has not run yet
            for event in (event for page in pages for event in page["events"]):
                # Without Lambda's own START, END and REPORT lines. LocalStack ignores the filter pattern.
                if event["message"].startswith("{") and (options.request_id or "") in event["message"]:
                    yield json.loads(event["message"])


def _duration(text: str) -> timedelta:
    """Return the duration that a number of minutes, hours or days names: 30m, 2h, 7d."""
    units = {"m": "minutes", "h": "hours", "d": "days"}
    if not text[:-1].isdigit() or text[-1:] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 30m, 2h or 7d")
    return timedelta(**{units[text[-1]]: int(text[:-1])})


if __name__ == "__main__":
    sys.exit(main())
