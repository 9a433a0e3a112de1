"""The connection to DynamoDB: retries of conflicts, throttling, lost responses and incomplete batches."""

from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import ConnectionError as NotConnected
from botocore.exceptions import ConnectTimeoutError, HTTPClientError, ReadTimeoutError
from pynamodb.connection import Connection
from pynamodb.exceptions import VerboseClientError

from chalicelib.adapters import aws
from chalicelib.core.errors import Throttled, WriteContention
from chalicelib.core.retries import Backoff

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_THROTTLING_CODES = {"ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"}
_CONFLICT_CODES = {"TransactionConflictException", "TransactionInProgressException"}
# What a batch could not process, because of throttling or its size.
_UNPROCESSED = {"BatchGetItem": "UnprocessedKeys", "BatchWriteItem": "UnprocessedItems"}


class RetryingConnection(Connection):
    """PynamoDB's connection on the process-wide session, with its own retries.

    By botocore's, it would not be known whether an attempt before the last one was carried out. And botocore retries
    throttling three times only, and conflicts and incomplete batches not at all.
    """

    @property
    def session(self) -> botocore.session.Session:
        """The process-wide session."""
        return aws.session()

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        """Call DynamoDB.

        Raises:
            WriteContention, Throttled: The budget for waits is used up. Nothing was written; of a batch, a part may be.
            VerboseClientError, HTTPClientError: Any other failure. A write may have been carried out.
        """
        backoff = Backoff()
        response = self._call(backoff, operation_name, operation_kwargs)
        unprocessed = _UNPROCESSED.get(operation_name, "")
        while response.get(unprocessed):
            backoff.wait(Throttled())
            remaining = operation_kwargs | {"RequestItems": response[unprocessed]}
            _merge(response, self._call(backoff, operation_name, remaining), unprocessed)
        return response

    def _call(self, backoff: Backoff, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        lost: Exception | None = None  # the failure of an attempt that may have been carried out
        timeouts = 0
        while True:
            try:
                return super()._make_api_call(operation, parameters)
            except (NotConnected, HTTPClientError, VerboseClientError) as error:
                reason = _rejection(error)
                lost = error if reason is None else lost
                timeouts += isinstance(error, ConnectTimeoutError | ReadTimeoutError)  # each took seconds
                if timeouts == aws.MAX_ATTEMPTS or reason is error:
                    raise
                backoff.wait(lost or reason or error)


@cache
def connection() -> RetryingConnection:
    """Return the process-wide connection to DynamoDB.

    PynamoDB would create a session and a client for each model class, which takes 70 to 150 ms each.
    """
    return RetryingConnection(
        connect_timeout_seconds=aws.CONNECT_TIMEOUT_SECONDS,
        read_timeout_seconds=aws.READ_TIMEOUT_SECONDS,
        max_retry_attempts=0,
    )


def prepare() -> None:
    """Create the client, without a connection to DynamoDB. Reading the descriptions of the service takes 20 ms."""
    _ = connection().client


def _rejection(error: Exception) -> Exception | None:
    """Return what to raise if an attempt was rejected, or None if it may have been carried out.

    It is the error itself if a retry cannot succeed.
    """
    if not isinstance(error, VerboseClientError):
        return None
    code = error.response["Error"].get("Code")
    if code in _THROTTLING_CODES:
        return Throttled()
    if code in _CONFLICT_CODES:
        return WriteContention()
    response = getattr(error.__cause__, "response", {})
    is_server_error = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500
    return None if is_server_error else error


def _merge(response: dict[str, Any], rest: dict[str, Any], unprocessed: str) -> None:
    """Add the rest of a batch to its response."""
    for table, items in rest.get("Responses", {}).items():
        response["Responses"].setdefault(table, []).extend(items)
    response[unprocessed] = rest.get(unprocessed)
