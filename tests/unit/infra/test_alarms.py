"""Which alarms a day raises: an ordinary one none, a fault its own."""

from collections.abc import Callable

import pytest

from benchmarks import costs
from infra.functions import FUNCTIONS
from tests.alarms import STAGE, Metrics, alarms

DAY, MORNING = range(24 * 60), range(9 * 60, 9 * 60 + 30)
LAMBDA, DYNAMODB, SQS = "AWS/Lambda", "AWS/DynamoDB", "AWS/SQS"
GATEWAY = {"ApiName": "eduflow", "Stage": STAGE}


def name(function: str) -> str:
    [found] = [one.lambda_name(STAGE) for one in FUNCTIONS if one.name == function]
    return found


def ordinary_day() -> Metrics:
    """A school with students all day, an opening at nine, expired tokens, a few slow requests and some 5xx."""
    metrics = Metrics()
    for function in FUNCTIONS:
        metrics.add(LAMBDA, "Throttles", DAY, 0, FunctionName=function.lambda_name(STAGE))
        if function.name != "authorizer":
            metrics.add(LAMBDA, "Errors", DAY, 0, FunctionName=function.lambda_name(STAGE))
    metrics.add(LAMBDA, "Errors", DAY, 40, FunctionName=name("authorizer"))  # a 401 is an exception to Lambda
    metrics.add("AWS/ApiGateway", "4XXError", DAY, 200, **GATEWAY)
    metrics.add("AWS/ApiGateway", "5XXError", range(0, DAY.stop, 5), 2, **GATEWAY)
    metrics.add(LAMBDA, "Duration", DAY, *[120] * 300, 4000, FunctionName=name("api_handler"))
    metrics.add(LAMBDA, "Duration", DAY, *[30] * 300, 900, FunctionName=name("authorizer"))
    metrics.add(LAMBDA, "Duration", MORNING, *[800] * 50, FunctionName=name("emails"))
    for worker in ("cascade_deletions", "place_settlement"):
        metrics.add(LAMBDA, "Duration", MORNING, 55_000, FunctionName=name(worker))
    for schedule in ("daily_report", "cleanup"):
        metrics.add(LAMBDA, "Invocations", range(0, DAY.stop, 60), 1, FunctionName=name(schedule))
        metrics.add(LAMBDA, "Duration", range(0, DAY.stop, 60), 20_000, FunctionName=name(schedule))
    for queue in ("emails", "deletions", "waitlist"):
        metrics.add(SQS, "ApproximateAgeOfOldestMessage", MORNING, 1800, QueueName=f"eduflow-{queue}-{STAGE}")
        metrics.add(SQS, "ApproximateNumberOfMessagesVisible", DAY, 0, QueueName=f"eduflow-{queue}-dead-{STAGE}")
    # An on-demand table throttles briefly while it adapts to a new peak.
    metrics.add(DYNAMODB, "WriteThrottleEvents", MORNING[:2], 30, TableName=f"eduflow-enrollments-{STAGE}")
    metrics.add("eduflow", "RateLimitsReached", DAY, 3, Stage=STAGE)  # forgotten passwords
    metrics.add("eduflow", "RefreshTokensReused", range(0, DAY.stop, 60), 1, Stage=STAGE)  # after lost responses
    metrics.add("AWS/SES", "Reputation.BounceRate", range(0, DAY.stop, 60), 0.01)
    metrics.add("AWS/SES", "Reputation.ComplaintRate", range(0, DAY.stop, 60), 0.0001)
    return metrics


def test_ordinary_day_raises_no_alarm() -> None:
    assert ordinary_day().raised() == set()


Fault = Callable[[Metrics], None]
FAULTS: list[tuple[str, Fault]] = [
    ("errors-authorizer", lambda m: m.add("eduflow", "AuthorizerErrors", MORNING[:1], 1, Stage=STAGE)),
    ("errors-api", lambda m: m.add(LAMBDA, "Errors", MORNING[:1], 1, FunctionName=name("api_handler"))),
    ("errors-cleanup", lambda m: m.add(LAMBDA, "Errors", MORNING[:1], 1, FunctionName=name("cleanup"))),
    ("throttles-api", lambda m: m.add(LAMBDA, "Throttles", MORNING[:3], 9, FunctionName=name("api_handler"))),
    ("5xx", lambda m: m.add("AWS/ApiGateway", "5XXError", MORNING[:5], 2, **GATEWAY)),
    ("slow-api", lambda m: m.add(LAMBDA, "Duration", MORNING, *[28_000] * 9, FunctionName=name("api_handler"))),
    ("slow-daily_report", lambda m: m.add(LAMBDA, "Duration", MORNING, 290_000, FunctionName=name("daily_report"))),
    (
        "writes-users-by-role",
        lambda m: m.add(
            DYNAMODB,
            "WriteThrottleEvents",
            MORNING,
            1,
            TableName=f"eduflow-users-{STAGE}",
            GlobalSecondaryIndexName="by-role",
        ),
    ),
    (
        "dead-deletions",
        lambda m: m.add(
            SQS, "ApproximateNumberOfMessagesVisible", MORNING[:1], 1, QueueName=f"eduflow-deletions-dead-{STAGE}"
        ),
    ),
    (
        "dead-waitlist",
        lambda m: m.add(
            SQS, "ApproximateNumberOfMessagesVisible", MORNING[:1], 1, QueueName=f"eduflow-waitlist-dead-{STAGE}"
        ),
    ),
    (
        "errors-place_settlement",
        lambda m: m.add(LAMBDA, "Errors", MORNING[:1], 1, FunctionName=name("place_settlement")),
    ),
    (
        "writes-place-counters",
        lambda m: m.add(DYNAMODB, "WriteThrottleEvents", MORNING, 1, TableName=f"eduflow-place-counters-{STAGE}"),
    ),
    (
        "age-emails",
        lambda m: m.add(SQS, "ApproximateAgeOfOldestMessage", MORNING, 4000, QueueName=f"eduflow-emails-{STAGE}"),
    ),
    ("rate-limits", lambda m: m.add("eduflow", "RateLimitsReached", MORNING[:5], 30, Stage=STAGE)),
    ("refresh-reused", lambda m: m.add("eduflow", "RefreshTokensReused", MORNING[:6], 1, Stage=STAGE)),
    ("bounces", lambda m: m.add("AWS/SES", "Reputation.BounceRate", MORNING, 0.05)),
    ("cache-throttled", lambda m: m.add("AWS/ElastiCache", "ThrottledCmds", MORNING, 1, clusterId=f"eduflow-{STAGE}")),
]


@pytest.mark.parametrize(("alarm", "fault"), FAULTS, ids=[alarm for alarm, _ in FAULTS])
def test_fault_raises_its_alarm_alone(alarm: str, fault: Fault) -> None:
    metrics = ordinary_day()
    fault(metrics)

    assert metrics.raised() == {alarm}


@pytest.mark.parametrize("function", ["daily_report", "cleanup"])
def test_schedule_that_stops_raises_an_alarm(function: str) -> None:
    metrics = ordinary_day()
    invocations = metrics.values[LAMBDA, "Invocations", frozenset({f"FunctionName={name(function)}"})]
    for hour in (5, 6, 7):
        del invocations[hour * 60]

    assert metrics.raised() == {f"silent-{function}"}


def test_costs_count_the_alarms_of_a_stage_without_cache() -> None:
    assert len([one for one in alarms() if one["Namespace"] != "AWS/ElastiCache"]) == costs.ALARMS
