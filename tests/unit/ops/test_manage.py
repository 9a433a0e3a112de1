"""What an operator types, as far as it needs no AWS."""

import argparse
import os
import subprocess
import sys
from datetime import timedelta

import pytest

from chalicelib.core.roles import Role
from chalicelib.services import password_attempts
from infra import config
from infra.config import PROJECT
from ops import arguments, commands
from tests.factories import create_user


def _manage(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "EDUFLOW_PASSWORD"}
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)


def test_public_stage_has_no_demo_password() -> None:
    refused = _manage("demo", "--stage", "dev")

    assert refused.returncode == 1
    assert "EDUFLOW_PASSWORD" in refused.stderr


def test_well_known_password_is_refused_on_a_public_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUFLOW_PASSWORD", "learn-with-eduflow")

    with pytest.raises(commands.CommandError, match="a password of their own"):
        commands.demo(argparse.Namespace(stage="dev"))


def test_production_gets_no_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDUFLOW_PASSWORD", "a password of its own")

    with pytest.raises(commands.CommandError, match="cannot be created on the production stage"):
        commands.demo(argparse.Namespace(stage="prod"))


def test_unlock_names_the_user(aws: None, capsys: pytest.CaptureFixture[str]) -> None:
    student = create_user(Role.STUDENT)

    commands.unlock(argparse.Namespace(name=f"{student.username}@example.org"))
    with password_attempts.password_attempt(user_id=student.id, name="", address="192.0.2.1"):
        pass  # a failure
    commands.unlock(argparse.Namespace(name=student.username))
    with pytest.raises(commands.CommandError, match="There is no user unknown"):
        commands.unlock(argparse.Namespace(name="unknown"))

    was_not, can = capsys.readouterr().out.splitlines()
    assert was_not == f"{student.username}@example.org was not locked."
    assert can == f"{student.username} can log in again."


def test_unknown_stage_is_named_with_the_known_ones() -> None:
    refused = _manage("rotate-keys", "--stage", "production")

    assert refused.returncode == 1
    assert "local, localstack, dev, prod" in refused.stderr


def test_demo_is_refused_on_a_stage_with_a_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = config.Stage("dev", {"MAIL_FROM": "school@school.edu"}, cache=True)
    monkeypatch.setattr(config, "load_stage", lambda _: stage)

    with pytest.raises(commands.CommandError, match="Valkey is reached from its VPC only"):
        commands.demo(argparse.Namespace(stage="dev"))


def test_python_without_the_packages_names_the_one_that_has_them() -> None:
    command = [sys.executable, "-S", "manage.py", "queue", "status"]  # -S: without site-packages

    refused = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)

    assert refused.returncode == 1
    assert refused.stderr.startswith("Run this command as `.venv/bin/python manage.py`.")


def test_age_of_log_lines_is_a_duration() -> None:
    assert arguments.parse_duration("30m") == timedelta(minutes=30)
    assert arguments.parse_duration("7d") == timedelta(days=7)
    for wrong in ("", "m", "7", "1w", "-1h"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a duration"):
            arguments.parse_duration(wrong)


@pytest.mark.parametrize(
    "command", [("rotate-keys", "--compromise"), ("rotate-keys", "--c"), ("run", "daily-report", "--em")]
)
def test_abbreviated_option_is_refused(command: tuple[str, ...]) -> None:
    """`--compromised` revokes all sessions: no other spelling does."""
    refused = _manage(*command)

    assert refused.returncode == 2
    assert f"unrecognized arguments: {command[-1]}" in refused.stderr


@pytest.mark.parametrize(
    "command", [("demo",), ("run", "cleanup"), ("queue", "status"), ("enrollment", "show", "x"), ("logs",)]
)
def test_command_without_a_local_stage_says_how_to_start_one(command: tuple[str, ...]) -> None:
    environment = os.environ | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "EDUFLOW_PASSWORD": "x"}
    program = [sys.executable, "-c", "from ops import cli; cli.HOME = cli.HOME / 'none'; raise SystemExit(cli.main())"]

    refused = subprocess.run(
        [*program, *command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )

    assert refused.returncode == 1
    assert (
        refused.stderr == "No local stage is running: start it with `make run`, or name another stage with --stage.\n"
    )


def test_admin_without_a_terminal_needs_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDUFLOW_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)

    with pytest.raises(commands.CommandError, match="set EDUFLOW_PASSWORD"):
        commands.create_admin(argparse.Namespace(username="ada", email="ada@example.org"))
    with pytest.raises(commands.CommandError, match=r"^email: "):
        commands.create_admin(argparse.Namespace(username="ada", email="no address"))
