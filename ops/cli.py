"""The command line of manage.py: its arguments, the environment of the stage, and messages for errors."""

import argparse
import os
import socket
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from chalicelib.core.email_kinds import EmailKind
from infra import config
from infra.config import LOCAL
from infra.local_stage import HOME, HOST, aws_environment, running_environment
from ops import arguments, audit, commands
from ops.commands import CommandError

_CONNECT_SECONDS = 5


def main() -> int:
    """Run the command and return the exit status."""
    options = parser().parse_args()
    try:
        if options.stage:
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
    from pynamodb.exceptions import PynamoDBException

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
    except PynamoDBException as error:
        raise CommandError(f"DynamoDB failed for the stage {options.stage}: {error.cause or error}") from error
    except InvalidSigningKeys as error:
        raise CommandError(str(error)) from error


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    # No abbreviations: an operator who mistypes an option must not run another one.
    result = argparse.ArgumentParser(prog="manage.py", description="Operate a stage of EduFlow.", allow_abbrev=False)
    subparsers = result.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], None], help_: str, has_stage: bool = True
    ) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=help_, description=help_, allow_abbrev=False)
        if has_stage:
            command.add_argument("--stage", default=LOCAL, help="the Chalice stage (default: %(default)s)")
        command.set_defaults(run=run, stage=LOCAL if has_stage else None)
        return command

    admin = add(
        "create-admin",
        commands.create_admin,
        "Create an admin account. The password is read from EDUFLOW_PASSWORD or prompted for.",
    )
    admin.add_argument("username")
    admin.add_argument("email")
    unlock = add("unlock", commands.unlock, "Let a user log in again whose account is locked by failed logins.")
    unlock.add_argument("name", metavar="NAME", help="the username or email address")
    audit.add_arguments(add("audit", audit.run, "Show the audit log, newest first, as JSON lines."))
    add("demo", commands.demo, "Create demo data, once per stage. After an interruption, run it again.")
    job = add("run", lambda options: commands.JOBS[options.job](options), "Run a scheduled job now.")
    job.add_argument("job", choices=commands.JOBS)
    job.add_argument(
        "--date",
        type=arguments.parse_date,
        metavar="YYYY-MM-DD",
        help="daily-report: regenerate the report of this day and of the days after it",
    )
    job.add_argument(
        "--email", action="store_true", help="daily-report: send the latest report to all admins, even if it was sent"
    )
    queue = add("queue", commands.queue_status, "Show the number of messages of each queue by state, as JSON lines.")
    queue.add_argument("what", choices=["status"])
    mail = add("emails", lambda options: commands.EMAILS[options.what](options), "Show or send the emails given up.")
    mail.add_argument(
        "what",
        choices=commands.EMAILS,
        help="failed: the emails that SES rejected, as JSON lines; retry: send these again; suppressed: the addresses "
        "that SES does not send to, after a bounce or a complaint",
    )
    _add_email_arguments(
        add("email", commands.preview_email, "Write an email with sample values. It needs no stage.", has_stage=False)
    )
    add("redrive", commands.redrive, "Move the dead letters of all queues back into their queues.")
    add("reindex", commands.reindex, "Compare the rows of all lists and keywords with the courses, and repair them.")
    replay = add(
        "replay-erasures", commands.replay_erasures, "After a restore: erase the accounts again that were erased since."
    )
    replay.add_argument(
        "--since", type=arguments.parse_duration, default="35d", metavar="AGE", help="such as 2d (default: %(default)s)"
    )
    rotation = add("rotate-keys", commands.rotate_keys, "Publish a new signing key. No user is logged out.")
    rotation.add_argument(
        "--compromised", action="store_true", help="revoke all other keys: all users have to log in again"
    )
    enrollment = add("enrollment", commands.show_enrollment, "Show an enrollment and the state of its email, as JSON.")
    enrollment.add_argument("what", choices=["show"])
    enrollment.add_argument("id", metavar="ID")
    user = add("user", commands.user_emails, "Show the state of a user's emails: preferences, limits, pending ones.")
    user.add_argument("what", choices=["emails"])
    user.add_argument("name", metavar="NAME", help="the username or email address")
    logs = add("logs", commands.logs, "Show the log lines of all functions, oldest first, as JSON lines.")
    logs.add_argument("--request-id", metavar="ID", help="only the lines of this request, and API Gateway's")
    logs.add_argument(
        "--since",
        type=arguments.parse_duration,
        default="1h",
        metavar="AGE",
        help="such as 30m, 2h or 7d (default: %(default)s)",
    )
    logs.add_argument("--follow", action="store_true", help="continue with new lines until Ctrl-C")
    return result


def _add_email_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", choices=["preview"])
    command.add_argument("kind", choices=[kind.value for kind in EmailKind], metavar="KIND", help=", ".join(EmailKind))
    part = command.add_mutually_exclusive_group()
    part.add_argument("--html", dest="part", action="store_const", const="html", help="only the HTML part")
    part.add_argument("--text", dest="part", action="store_const", const="text", help="only the text part")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="a file, such as email.eml (default: standard output)"
    )


def _require_local_aws() -> None:
    """Check that the local AWS accepts connections.

    Raises:
        CommandError: It does not.
    """
    address = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    try:
        socket.create_connection((address.hostname or HOST, address.port or 80), timeout=_CONNECT_SECONDS).close()
    except OSError:
        raise CommandError(
            "No local stage is running: start it with `make run`, or name another stage with --stage."
        ) from None


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
        _require_local_aws()
    from chalicelib.observability import logs

    logs.configure(sys.stderr)  # standard output is for the command's result
    logs.request_id.set(str(uuid.uuid4()))
