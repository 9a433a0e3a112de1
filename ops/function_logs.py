"""The log lines of a stage's functions and of its API Gateway, from CloudWatch Logs."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import boto3

from infra.functions import AUTHORIZER, FUNCTIONS, access_log_group, log_group

# Not by a JSON parser: API Gateway escapes nothing in its access log.
_AUTHORIZER_REQUEST_ID = re.compile(r'"authorizer_request_id": "([\w-]{2,})"')

_Event = dict[str, Any]


def messages(stage_name: str, start: datetime) -> list[str]:
    """Return the functions' JSON lines since a time, oldest first."""
    return _lines(event for group in _groups(stage_name) for event in _events(group, start))


def messages_of_request(stage_name: str, start: datetime, request_id: str) -> list[str]:
    """Return the JSON lines of one request since a time, oldest first: also of API Gateway and its authorizer.

    The authorizer does not know the request's ID: its lines have that of its invocation, which API Gateway's access log
    has, too.
    """
    found = [event for group in _groups(stage_name) for event in _events(group, start, request_id)]
    for event in _events(access_log_group(stage_name), start, request_id):
        found.append(event)
        if invocation := _AUTHORIZER_REQUEST_ID.search(event["message"]):
            found += _events(log_group(AUTHORIZER, stage_name), start, invocation[1])
    return _lines(found)


def _groups(stage_name: str) -> list[str]:
    return [log_group(function, stage_name) for function in FUNCTIONS]


def _events(group: str, start: datetime, text: str = "") -> Iterator[_Event]:
    """Yield the events of a log group since a time that contain a text."""
    client = boto3.client("logs")
    criteria = {"filterPattern": f'"{text}"'} if text else {}
    start_time = int(start.timestamp() * 1000)
    pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=start_time, **criteria)
    with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # nothing was logged yet
        for event in (event for page in pages for event in page["events"]):
            if text in event["message"]:  # LocalStack ignores the filter pattern
                yield event


def _lines(events: Iterable[_Event]) -> list[str]:
    """Return the JSON lines among the events, oldest first, without Lambda's own START, END and REPORT lines."""
    lines = {(event["timestamp"], event["message"].strip()) for event in events if event["message"].startswith("{")}
    return [message for _, message in sorted(lines)]
