"""manage.py audit."""

import argparse
import json
from typing import Any

import pytest

from chalicelib.core.caller import Caller
from chalicelib.core.roles import Role
from chalicelib.services import users
from ops import audit
from ops.commands import CommandError
from tests.factories import create_user


@pytest.fixture
def admin(aws: None) -> Caller:
    return create_user(Role.ADMIN, name="grace")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    command = argparse.ArgumentParser()
    audit.add_arguments(command)
    audit.run(command.parse_args(arguments))
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_users_are_given_by_name_or_id(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    ada, bob = create_user(Role.STUDENT, name="ada"), create_user(Role.STUDENT, name="bob")
    users.update(admin, ada.id, {"is_active": False})
    users.update(admin, bob.id, {"is_active": False})

    for option, value in (("name", "ada"), ("name", "ada@example.org"), ("", ada.id)):
        [line] = shown(capsys, f"--subject-{option}".rstrip("-"), value)
        assert (line["subject"], line["action"], line["actor"]) == (ada.id, "user.deactivated", admin.id)
    assert [line["subject"] for line in shown(capsys, "--actor-name", "grace")] == [bob.id, ada.id]
    assert [line["action"] for line in shown(capsys, "--actor", "operator")] == ["user.created"]
    assert len(shown(capsys)) == 3


def test_username_that_looks_like_an_id_hides_no_entry(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    ada = create_user(Role.STUDENT, name="ada")
    users.update(admin, ada.id, {"is_active": False})
    mallory = create_user(Role.STUDENT, name=ada.id)

    assert [line["subject"] for line in shown(capsys, "--subject", ada.id)] == [ada.id]
    assert shown(capsys, "--subject-name", ada.id) == []
    assert mallory.id != ada.id


def test_unknown_name_is_an_error(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match="There is no user bob"):
        shown(capsys, "--subject-name", "bob")


def test_entries_of_an_erased_user_are_found_by_id(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    ada = create_user(Role.STUDENT, name="ada")
    users.delete(admin, ada.id)

    assert [line["action"] for line in shown(capsys, "--subject", ada.id)] == ["user.erased"]


def test_all_pages_are_printed(
    admin: Caller, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_PAGE_SIZE", 2)
    for _ in range(5):
        users.update(admin, create_user(Role.STUDENT).id, {"is_active": False})

    assert len(shown(capsys, "--action", "user.deactivated")) == 5


def test_no_entries_are_a_message(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    command = argparse.ArgumentParser()
    audit.add_arguments(command)
    audit.run(command.parse_args(["--actor", "0" * 16]))

    assert capsys.readouterr().err.endswith("There are no such entries.\n")


def test_unknown_action_is_refused_with_the_known_ones(admin: Caller, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandError, match=r"There is no action user\.vanished.*user\.role_changed"):
        shown(capsys, "--action", "user.vanished")
