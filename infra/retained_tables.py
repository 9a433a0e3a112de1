"""Tables that outlived their stack are imported into the next one of the same stage.

`make destroy` keeps tables, and a rollback keeps a table that the release added. CloudFormation would fail to create
them again, because their names exist
(https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-manually.html).
"""

import json
from pathlib import Path
from typing import Any

import boto3
import yaml

_TABLE = "AWS::DynamoDB::Table"


def find(stack_name: str, template: Path, parameters: dict[str, str], is_new: bool) -> dict[str, str]:
    """Return the tables of a template that exist outside of its stack: table names by logical ID."""
    resources = load_template(template)["Resources"]
    tables = {key: resource["Properties"] for key, resource in resources.items() if resource.get("Type") == _TABLE}
    if not tables:
        return {}
    names = {key: _name(properties["TableName"], parameters) for key, properties in tables.items()}
    in_stack = set() if is_new else _resources_in_stack(stack_name)
    pages = boto3.client("dynamodb").get_paginator("list_tables").paginate()
    existing = {name for page in pages for name in page["TableNames"]}
    return {key: name for key, name in names.items() if key not in in_stack and name in existing}


def import_request(stack_name: str, template: Path, tables: dict[str, str], is_new: bool) -> dict[str, Any]:
    """Return what a change set needs to import tables: an import may add nothing else and change nothing."""
    full_template = load_template(template)
    current = {} if is_new else _current_template(stack_name)
    imported = {key: full_template["Resources"][key] | {"DeletionPolicy": "Retain"} for key in tables}
    document = {
        **{key: value for key, value in full_template.items() if key not in ("Resources", "Outputs")},
        **current,
        "Resources": current.get("Resources", {}) | imported,
    }
    return {
        "ChangeSetType": "IMPORT",
        "TemplateBody": json.dumps(document),
        "ResourcesToImport": [
            {"ResourceType": _TABLE, "LogicalResourceId": key, "ResourceIdentifier": {"TableName": name}}
            for key, name in tables.items()
        ],
    }


def _resources_in_stack(stack_name: str) -> set[str]:
    pages = boto3.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack_name)
    return {resource["LogicalResourceId"] for page in pages for resource in page["StackResourceSummaries"]}


def _current_template(stack_name: str) -> dict[str, Any]:
    document = boto3.client("cloudformation").get_template(StackName=stack_name)["TemplateBody"]
    return dict(document) if isinstance(document, dict) else _parse(document)


def _name(value: Any, parameters: dict[str, str]) -> str:
    return str(value["Fn::Sub"]).replace("${Stage}", parameters["Stage"])


def load_template(template: Path) -> dict[str, Any]:
    """Return a template, with the short forms of CloudFormation's functions replaced by the long ones."""
    return _parse(template.read_text(encoding="utf-8"))


def _parse(text: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.load(text, _TemplateLoader)  # noqa: S506  a SafeLoader
    return document


class _TemplateLoader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation's functions, such as ``!Sub``."""


def _function(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    if name == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_TemplateLoader.add_multi_constructor("!", _function)
