"""The keys and indexes of the tables in data.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from infra.retained_tables import load_template
from infra.stacks import DATA
from tests.stack import TEST_STAGE


@dataclass(frozen=True)
class Index:
    """The keys of a secondary index, and its attributes, None for all."""

    keys: tuple[str, ...]
    attributes: frozenset[str] | None
    is_local: bool


@dataclass(frozen=True)
class Schema:
    """The keys of a table, and its indexes by name."""

    keys: tuple[str, ...]
    indexes: Mapping[str, Index]


@cache
def stage_schemas() -> dict[str, Schema]:
    """Return the schemas of the tables of the stage ``test``, by name."""
    tables = [one for one in load_template(DATA)["Resources"].values() if one["Type"] == "AWS::DynamoDB::Table"]
    return {_name_of(table["Properties"]): _schema(table["Properties"]) for table in tables}


def _name_of(table: Mapping[str, Any]) -> str:
    return str(table["TableName"]["Fn::Sub"]).replace("${Stage}", TEST_STAGE.name)


def _schema(table: Mapping[str, Any]) -> Schema:
    keys, indexes = _key_names(table), {}
    for kind in ("Global", "Local"):
        for index in table.get(f"{kind}SecondaryIndexes", []):
            projection, index_keys = index["Projection"], _key_names(index)
            attributes = frozenset((*keys, *index_keys, *projection.get("NonKeyAttributes", ())))
            is_complete = projection["ProjectionType"] == "ALL"
            indexes[index["IndexName"]] = Index(index_keys, None if is_complete else attributes, kind == "Local")
    return Schema(keys, indexes)


def _key_names(table_or_index: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(key["AttributeName"] for key in table_or_index["KeySchema"])
