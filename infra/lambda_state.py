"""Waiting for Lambda functions that are being created or updated."""

import time
from typing import Any

import boto3

from infra import config

_TIMEOUT_SECONDS = 300
_POLL_SECONDS = 1.0


def wait_until_stable(function: str) -> bool:
    """Wait until no change of a function is in progress; return False if there is no such function.

    Not by botocore's waiters: ``function_active_v2`` never ends for a function that Lambda made Inactive after weeks
    without an invocation (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html), and a missing function
    makes them raise WaiterError.

    Raises OperatorError after five minutes.
    """
    client, end = boto3.client("lambda"), time.monotonic() + _TIMEOUT_SECONDS
    while True:
        try:
            configuration: dict[str, Any] = client.get_function_configuration(FunctionName=function)
        except client.exceptions.ResourceNotFoundException:
            return False
        if configuration.get("State") != "Pending" and configuration.get("LastUpdateStatus") != "InProgress":
            return True
        if time.monotonic() > end:
            raise config.OperatorError(f"The function {function} has been changing for five minutes: try again later.")
        time.sleep(_POLL_SECONDS)
