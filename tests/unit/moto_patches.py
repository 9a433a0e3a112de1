"""moto without what makes it slow in many small tests, and with transactions that are safe among threads."""

import copy
from functools import cache
from threading import RLock
from typing import Any

import botocore.session
import pytest
from botocore.loaders import create_loader
from botocore.model import StructureShape
from moto.cloudformation.models import Stack
from moto.core import models, responses
from moto.core.botocore_stubber import BotocoreStubber
from moto.core.serialize import JSONSerializer
from moto.core.utils import method_names_from_class
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.models.table import Table

_parse_template = Stack.parse_template
_respond, _transact = BotocoreStubber.__call__, DynamoDBBackend.transact_write_items
_serialize_structure = JSONSerializer._serialize_type_structure
_one_at_a_time = RLock()


def apply() -> None:
    """Patch moto and botocore in this process."""
    botocore.session.create_loader = cache(create_loader)  # all clients read the same descriptions of AWS from disk
    Stack.parse_template = staticmethod(lambda template: copy.deepcopy(_parse_once(template)))  # type: ignore[method-assign]
    BotocoreStubber.__call__ = _respond_alone  # type: ignore[assignment, method-assign]
    DynamoDBBackend.transact_write_items = _transact_with_one_copy  # type: ignore[assignment, method-assign]
    JSONSerializer._serialize_type_structure = _serialize_members_present  # type: ignore[assignment, method-assign]
    responses.method_names_from_class = cache(method_names_from_class)  # type: ignore[attr-defined]
    models.RESPONSES_METHODS.clear()  # the tests call AWS by botocore, never by requests


@cache
def _parse_once(template: str) -> Any:
    """Every test creates the same stack."""
    return _parse_template(template)


def _respond_alone(stubber: BotocoreStubber, *arguments: Any, **named: Any) -> Any:
    """A transaction that fails restores whole tables in moto, with all that other threads changed meanwhile."""
    with _one_at_a_time:
        return _respond(stubber, *arguments, **named)


def _serialize_members_present(
    serializer: JSONSerializer, serialized: dict[str, Any], value: Any, shape: StructureShape, key: str
) -> None:
    """Serialize the members of a dict that has the names of the API.

    moto looks for each of the shape's members under up to twelve spellings, which takes most of the time of a call.
    """
    is_named_as_shape = type(value) is dict and value.keys() <= shape.members.keys()
    if not is_named_as_shape or serializer._value_picker.response_transformers:
        _serialize_structure(serializer, serialized, value, shape, key)
        return
    members: dict[str, Any] = {} if key else serialized
    for name, member in value.items():
        if member is not None:
            serializer._serialize(members, member, shape.members[name], name)
    if key:
        serializer._default_serialize(serialized, members, shape, key)


def _transact_with_one_copy(backend: DynamoDBBackend, items: list[dict[str, Any]]) -> None:
    """Without this, moto copies a table once for each item of a transaction: a large one lasts for seconds."""
    copies: dict[str, Table] = {}

    def copy_once(table: Table, memo: dict[int, Any]) -> Table:
        if table.name not in copies:
            copies[table.name] = copy.copy(table)
            copies[table.name].items = copy.deepcopy(table.items, memo)
        return copies[table.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "__deepcopy__", copy_once, raising=False)
        _transact(backend, items)
