"""The log lines of a stage's functions and of its API Gateway, from CloudWatch Logs."""

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3

from infra.functions import AUTHORIZER, FUNCTIONS, access_log_group, log_group


def messages(stage_name: str, start: datetime) -> list[str]:
    """Return the functions' JSON lines since a time, oldest first."""
    return _oldest_first({line for group in _groups(stage_name) for line in _lines(group, start)})


def messages_of_request(stage_name: str, start: datetime, request_id: str) -> list[str]:
    """Return the JSON lines of one request since a time, oldest first: also of API Gateway and its authorizer.

    The authorizer does not know the request's ID. API Gateway's access log has the ID of the authorizer's invocation.
    """
    found = {line for group in _groups(stage_name) for line in _lines(group, start, request_id)}
    for line in _lines(access_log_group(stage_name), start, request_id):
        found.add(line)
        invocation = json.loads(line)["extra"].get("authorizer_request_id", "-")
        if invocation != "-":
            found |= set(_lines_of_invocation(log_group(AUTHORIZER, stage_name), start, invocation))
    return _oldest_first(found)


def _groups(stage_name: str) -> list[str]:
    return [log_group(function, stage_name) for function in FUNCTIONS]


def _lines(group: str, start: datetime, text: str = "") -> Iterator[str]:
    """Yield the JSON lines that contain a text, without Lambda's own START, END and REPORT lines."""
    for event in _events(group, start, text):
        if event["message"].startswith("{"):
            yield event["message"].strip()


def _lines_of_invocation(group: str, start: datetime, invocation: str) -> Iterator[str]:
    """Yield the JSON lines between the START and the END of an invocation: a log stream has one at a time."""
    platform = list(_events(group, start, invocation))
    if not platform:
        return
    times = [event["timestamp"] for event in platform]
    for event in _events(group, start, "", logStreamNames=[platform[0]["logStreamName"]], endTime=max(times)):
        if event["timestamp"] >= min(times) and event["message"].startswith("{"):
            yield event["message"].strip()


def _events(group: str, start: datetime, text: str, **criteria: Any) -> Iterator[dict[str, Any]]:
    client = boto3.client("logs")
    criteria |= {"startTime": int(start.timestamp() * 1000)} | ({"filterPattern": f'"{text}"'} if text else {})
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **criteria)
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # nothing was logged yet
        for event in (event for page in pages for event in page["events"]):
            if text in event["message"]:  # LocalStack ignores the filter pattern
                yield event


def _oldest_first(lines: set[str]) -> list[str]:
    return sorted(lines, key=lambda line: _time(json.loads(line)["timestamp"]))


def _time(timestamp: str) -> datetime:
    """Return the time of a line: API Gateway writes milliseconds, the functions ISO 8601."""
    if timestamp.isdigit():
        return datetime.fromtimestamp(int(timestamp) / 1000, UTC)
    return datetime.fromisoformat(timestamp)
