"""Dependents of deleted courses and users: not visible at once, deleted later."""

from functools import partial
from typing import Any

import pytest
from requests import Response

from tests.clients import Actor, Api, call_concurrently, register
from tests.e2e.email_tour import owe_email
from tests.stack import RunningStack
from tests.waiting import eventually

pytestmark = pytest.mark.contract

A_WHILE = 90  # the worker starts when no function that could still be adding can be running


@pytest.fixture(scope="module")
def erased(stack: RunningStack) -> tuple[str, str]:
    """ID and name of a deleted instructor with a draft, deleted before the other test starts to wait."""
    owner = register(stack.api, "instructor")
    draft = owner.create_course(is_published=False, title=f"Draft of {owner.username}")
    owner.post("/lessons/", {"course": draft["id"], "title": f"Lesson of {owner.username}"})
    user_id = owner.get("/auth/me/").json()["id"]
    Actor(stack.api).post("/auth/password/forgot/", {"username": owner.username})
    for kind in ("verify", "reset"):
        eventually(partial(stack.tokens, kind, f"{owner.username}@example.org"))
    owe_email(stack, user_id)
    assert owner.call("DELETE", "/auth/me/").status_code == 204
    return user_id, owner.username


@pytest.mark.usefixtures("erased")
def test_dependents_are_deleted_during_other_enrollments(teacher: Actor, admin: Actor, gateway: Api) -> None:
    leaver, stayer = register(gateway, "student"), register(gateway, "student")
    doomed, kept = teacher.create_course(), teacher.create_course()
    lesson = teacher.post("/lessons/", {"course": doomed["id"], "title": "Doomed"}).json()
    of_leaver = leaver.enroll_in(kept)
    stayer.enroll_in(doomed)
    of_stayer = stayer.enroll_in(kept)

    crowd = [register(gateway, "student") for _ in range(20)]

    def deletes_or_enrolls(number: int) -> Response:
        if number == 20:
            return teacher.call("DELETE", f"/courses/{doomed['id']}/")
        return crowd[number].post("/enrollments/", {"course": doomed["id"]})

    *enrolled, deleted = call_concurrently(deletes_or_enrolls, 21)
    assert deleted.status_code == 204
    assert {response.status_code for response in enrolled} <= {201, 400}
    assert leaver.call("DELETE", "/auth/me/").status_code == 204

    assert teacher.get(f"/lessons/{lesson['id']}/").status_code == 404
    assert teacher.get(f"/lessons/?course={doomed['id']}").json()["results"] == []
    assert stayer.post("/enrollments/", {"course": doomed["id"]}).status_code == 400

    def left(query: str) -> list[str]:
        return [enrollment["id"] for enrollment in admin.get(f"/enrollments/?{query}").json()["results"]]

    eventually(lambda: left(f"course={doomed['id']}") == [], A_WHILE)
    eventually(lambda: left(f"student={of_leaver['student']}") == [], A_WHILE)
    assert left(f"student={of_stayer['student']}") == left(f"course={kept['id']}") == [of_stayer["id"]]


def test_erased_account_leaves_no_personal_data(stack: RunningStack, erased: tuple[str, str]) -> None:
    user_id, username = erased
    client = stack.aws("dynamodb")

    def rows_that_name_it() -> list[Any]:
        found = []
        for table in client.list_tables()["TableNames"]:
            pages = client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
            found += [(table, row) for page in pages for row in page["Items"] if username in str(row)]
        return found

    eventually(lambda: not rows_that_name_it(), A_WHILE)
    [tombstone] = [client.get_item(TableName=f"eduflow-users-{stack.stage}", Key={"id": {"S": user_id}})["Item"]]
    assert set(tombstone) == {
        "id", "role", "is_active", "auth_version", "published_courses", "date_joined",
        "deleted_at", "lifecycle", "lifecycle_at",
    }  # fmt: skip
    for table in ("sessions", "account-emails"):
        rows = client.query(
            TableName=f"eduflow-{table}-{stack.stage}",
            KeyConditionExpression="user_id = :me",
            ExpressionAttributeValues={":me": {"S": user_id}},
        )
        assert rows["Items"] == [], table
    for kind in ("verify", "reset"):
        ticket = client.get_item(TableName=f"eduflow-tickets-{stack.stage}", Key={"id": {"S": f"{kind}#{user_id}"}})
        assert "Item" not in ticket, kind
