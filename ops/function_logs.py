"""The log lines of a stage's functions, from CloudWatch Logs."""

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3

from infra.functions import FUNCTIONS, log_group


def messages(stage_name: str, start: datetime, request_id: str | None = None) -> list[str]:
    """Return the JSON lines since a time, oldest first; only those of one request if its ID is given."""
    found = set(_messages(stage_name, start, request_id or ""))
    return sorted(found, key=lambda message: str(json.loads(message)["timestamp"]))


def _messages(stage_name: str, start: datetime, request_id: str) -> Iterator[str]:
    client = boto3.client("logs")
    request: dict[str, Any] = {"startTime": int(start.timestamp() * 1000)}
    if request_id:
        request["filterPattern"] = f'"{request_id}"'
    for group in (log_group(function, stage_name) for function in FUNCTIONS):
        pages = client.get_paginator("filter_log_events").paginate(logGroupName=group, **request)
        with contextlib.suppress(client.exceptions.ResourceNotFoundException):  # the function has not run yet
            for event in (event for page in pages for event in page["events"]):
                # Without Lambda's own START, END and REPORT lines. LocalStack ignores the filter pattern.
                if event["message"].startswith("{") and request_id in event["message"]:
                    yield event["message"].strip()
