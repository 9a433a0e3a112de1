"""Idempotent creation: requests with the same key create one entity, whatever fails in between.

The record of the key is saved before the entity, with the ID that the entity will have. So an attempt after one that
died creates it with the same ID, which DynamoDB's condition does not allow twice. A record is deleted only if no
attempt can have created the entity or still create it: a transaction whose response was lost may be carried out later.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from chalicelib.core.errors import (
    Conflict,
    CreatedAndDeleted,
    DomainError,
    KeyReused,
    NotFound,
    RequestInProgress,
    RetryLater,
    WriteContention,
)
from chalicelib.models.base import AlreadyCreated
from chalicelib.models.idempotency_records import IdempotencyRecord
from chalicelib.observability.logs import error_log

Entity = TypeVar("Entity")
Access = Callable[[str], Entity]  # creates or finds an entity, given the seed of its ID


def create_once(
    scope: Sequence[str], body: str, seed: str, create: Access[Entity], find: Access[Entity]
) -> tuple[Entity, bool]:
    """Create an entity unless an earlier request with this key did, and return it, and whether one did.

    ``scope`` is the key with all that limits its meaning. ``seed`` is what the ID of a new entity is made of.

    Raises:
        KeyReused: The key was used with another body.
        RequestInProgress: A request with this key has not ended.
        CreatedAndDeleted: An earlier request created the entity, which does not exist any more.
        RetryLater: As ``create`` does. The next request takes over.
        DomainError: As ``create`` does. If this is the first attempt, its key may be used again with any body.
    """
    record = IdempotencyRecord.new(scope, body, seed)
    stored = record.insert()
    if stored is None:
        return _create_first(record, create, find)
    if stored.fingerprint != record.fingerprint:
        raise KeyReused
    if stored.is_done:
        return _find_again(find, stored.seed), True
    if not stored.take_over():
        raise RequestInProgress
    return _resume(stored, create, find)


def create_new(seed: str, create: Access[Entity]) -> Entity:
    """Create an entity with a random ID.

    Raises:
        WriteContention: Another entity has this ID.
        DomainError: As ``create`` does.
    """
    try:
        return create(seed)
    except AlreadyCreated as error:
        raise WriteContention from error


def _create_first(record: IdempotencyRecord, create: Access[Entity], find: Access[Entity]) -> tuple[Entity, bool]:
    try:
        result = _create_or_find(record.seed, create, find)
    except (RetryLater, CreatedAndDeleted):  # a write before the last one may have had an effect, or still have one
        _settle(record.release)
        raise
    except DomainError:  # nothing was created
        _settle(record.forget)
        raise
    except Exception:
        _settle(record.release)
        raise
    _settle(record.complete)
    return result


def _resume(record: IdempotencyRecord, create: Access[Entity], find: Access[Entity]) -> tuple[Entity, bool]:
    """Find or create the entity of a record that was taken over."""
    try:
        result = _find_or_create(record.seed, create, find)
    except Exception:
        _settle(record.release)
        raise
    _settle(record.complete)
    return result


def _find_or_create(seed: str, create: Access[Entity], find: Access[Entity]) -> tuple[Entity, bool]:
    try:
        return find(seed), True
    except NotFound:
        return _create_or_find(seed, create, find)


def _create_or_find(seed: str, create: Access[Entity], find: Access[Entity]) -> tuple[Entity, bool]:
    """Create the entity, or find it if an earlier attempt or a write whose response was lost created it after all."""
    try:
        return create(seed), False
    except AlreadyCreated:
        return _find_again(find, seed), True
    except Conflict as error:
        try:
            return find(seed), True
        except NotFound:
            raise error from None


def _find_again(find: Access[Entity], seed: str) -> Entity:
    try:
        return find(seed)
    except NotFound as error:
        raise CreatedAndDeleted from error


def _settle(write: Callable[[], None]) -> None:
    """Record the result of an attempt. Without that, the next one waits for the end of the lease, and takes over."""
    try:
        write()
    except Exception:
        error_log.exception("The result of a request with an Idempotency-Key is not recorded")
