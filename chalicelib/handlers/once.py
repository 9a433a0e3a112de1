"""Once, however often it is asked for: Powertools' idempotency, with its records in DynamoDB."""

from aws_lambda_powertools.utilities.idempotency import DynamoDBPersistenceLayer, IdempotencyConfig

from chalicelib import aws
from chalicelib.settings import settings

REMEMBERED_SECONDS = 30 * 24 * 3600  # beyond the 4 and 14 days that a queue and its dead letters keep a message


def records() -> DynamoDBPersistenceLayer:
    """Where it is remembered what was done; one for each function, whose name it learns."""
    return DynamoDBPersistenceLayer(table_name=settings().resource("idempotency"), boto_config=aws.config())


def by(key: str) -> IdempotencyConfig:
    """Idempotency by one part of what is asked for, a JMESPath."""
    return IdempotencyConfig(
        event_key_jmespath=key,
        raise_on_no_idempotency_key=True,
        expires_after_seconds=REMEMBERED_SECONDS,
        hash_function="sha256",
    )
