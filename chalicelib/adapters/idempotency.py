"""Once, however often it is asked for: Powertools' idempotency, with its records in DynamoDB."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer,
    IdempotencyConfig,
    idempotent_function,
)

from chalicelib.adapters import aws
from chalicelib.core.config import settings

REMEMBERED_SECONDS = 30 * 24 * 3600  # beyond the 14 days that a queue and its dead letters keep a message


def by(key: str) -> IdempotencyConfig:
    """Idempotency by one part of what is asked for, a JMESPath."""
    return IdempotencyConfig(
        event_key_jmespath=key,
        raise_on_no_idempotency_key=True,
        expires_after_seconds=REMEMBERED_SECONDS,
        hash_function="sha256",
    )


def done(argument: str, config: IdempotencyConfig, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A function that does what it is asked for by an argument once.

    Its records go by ``name``, not by the function's: one that is renamed must not do all again.
    """
    records = DynamoDBPersistenceLayer(table_name=settings().resource("idempotency"), boto_config=aws.config())

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        once: Any = idempotent_function(
            function, data_keyword_argument=argument, config=config, persistence_store=records, key_prefix=name
        )
        return once  # type: ignore[no-any-return]

    return decorate
