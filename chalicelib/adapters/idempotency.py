"""Idempotency: functions that run once per key, by Powertools with records in DynamoDB.

https://docs.aws.amazon.com/powertools/python/latest/utilities/idempotency/
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from chalicelib.adapters import aws
from chalicelib.core.config import settings
from chalicelib.core.retry_policy import IDEMPOTENCY_RECORD_TTL

Function = Callable[..., None]


def config_for(key: str) -> IdempotencyConfig:
    """Return the configuration for an idempotency key: a JMESPath into the argument."""
    return IdempotencyConfig(
        event_key_jmespath=key,
        raise_on_no_idempotency_key=True,
        expires_after_seconds=int(IDEMPOTENCY_RECORD_TTL.total_seconds()),
        hash_function="sha256",
    )


def idempotent(argument: str, config: IdempotencyConfig, name: str) -> Callable[[Function], Function]:
    """Make a function idempotent, keyed by one keyword argument.

    Its records are named ``name`` and not by the function: renaming it must not repeat its work.
    """

    def decorate(function: Function) -> Function:
        @cache
        def with_records() -> Any:
            records = DynamoDBPersistenceLayer(settings().resource_name("idempotency"), boto_config=aws.config())
            return idempotent_function(
                function, data_keyword_argument=argument, config=config, persistence_store=records, key_prefix=name
            )

        @wraps(function)
        def run_once(**arguments: Any) -> None:
            with_records()(**arguments)

        return run_once

    return decorate
