import json

import pytest

from tests.stack import RunningStack
from tests.waiting import eventually

RULE_FIRES_WITHIN = 150


@pytest.mark.parametrize("function", ["daily_report", "cleanup"])
def test_jobs_are_scheduled_hourly(stack: RunningStack, function: str) -> None:
    events = stack.aws("events")
    [rule] = [rule for rule in events.list_rules()["Rules"] if function in rule["Name"]]
    [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]

    assert (rule["ScheduleExpression"], rule["State"]) == ("rate(1 hour)", "ENABLED")
    assert target["Arn"].endswith(f":function:eduflow-local-{function}")


@pytest.mark.timeout(RULE_FIRES_WITHIN + 30)
def test_schedules_invoke_the_functions(stack: RunningStack) -> None:
    events, dynamodb = stack.aws("events"), stack.aws("dynamodb")
    rules = [rule for rule in events.list_rules()["Rules"] if rule["ScheduleExpression"] == "rate(1 hour)"]
    newest, cleanups = _newest(stack), stack.output().count("Cleanup finished")
    dynamodb.delete_item(TableName="eduflow-reports-local", Key={"period": {"S": "daily"}, "date": {"S": newest}})

    for rule in rules:
        events.put_rule(Name=rule["Name"], ScheduleExpression="rate(1 minute)", State="ENABLED")  # an hour is long
    try:
        eventually(lambda: _dates(stack)[-1] == newest, RULE_FIRES_WITHIN)
        eventually(lambda: stack.output().count("Cleanup finished") > cleanups, RULE_FIRES_WITHIN)
    finally:
        for rule in rules:
            events.put_rule(Name=rule["Name"], ScheduleExpression=rule["ScheduleExpression"], State="ENABLED")


def test_manual_report_run_stores_missing_days(stack: RunningStack) -> None:
    newest = _newest(stack)
    dynamodb = stack.aws("dynamodb")
    before = dynamodb.get_item(TableName="eduflow-reports-local", Key={"period": {"S": "daily"}, "date": {"S": newest}})
    dynamodb.delete_item(TableName="eduflow-reports-local", Key={"period": {"S": "daily"}, "date": {"S": newest}})

    first, second = stack.manage("run", "daily-report"), stack.manage("run", "daily-report", "--date", newest)
    third = stack.manage("run", "daily-report")

    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert json.loads(first.stdout)["date"] == newest
    assert json.loads(first.stdout)["users"] == int(before["Item"]["users"]["N"])
    assert third.stdout == ""


def test_report_of_an_uncompleted_day_is_rejected(stack: RunningStack) -> None:
    refused = stack.manage("run", "daily-report", "--date", "2999-01-01")

    assert refused.returncode == 1
    assert "not completed" in refused.stderr


def test_manual_cleanup_reports_its_messages(stack: RunningStack) -> None:
    done = stack.manage("run", "cleanup")

    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {
        "AccountEmailsRequeued", "EmailsRequeued", "CourseDeletionsRequeued", "UserDeletionsRequeued",
        "InactiveStudentsQueued", "SettlementsRequested",
    }  # fmt: skip
    assert stack.manage("run", "cleanup", "--date", "2026-11-01").returncode == 1


def test_queue_status_and_redrive(stack: RunningStack) -> None:
    stack.send_message("emails-dead", {"kind": "enrollment", "id": "a dead one", "request_id": "redriven"})

    def held() -> dict[str, int]:
        lines = stack.manage("queue", "status").stdout.splitlines()
        return {line["queue"]: line["dead"] for line in map(json.loads, lines)}

    assert held() == {"emails": 1, "deletions": 0, "waitlist": 0}
    redriven = stack.manage("redrive")
    assert json.loads(redriven.stdout.splitlines()[0]) == {"queue": "emails", "redriven": 1}
    assert held() == {"emails": 0, "deletions": 0, "waitlist": 0}
    eventually(lambda: stack.has_logged('"request_id": "redriven"'))


def _newest(stack: RunningStack) -> str:
    """Return the last day that has a report. After 01:00 UTC, it is one day later than at the start of the stack."""
    assert stack.manage("run", "daily-report").returncode == 0
    return _dates(stack)[-1]


def _dates(stack: RunningStack) -> list[str]:
    items = stack.aws("dynamodb").scan(TableName="eduflow-reports-local")["Items"]
    return sorted(item["date"]["S"] for item in items)
