"""The deployed resources of a stage, as AWS reports them.

Chalice keeps them in a file next to the project. Another machine does not have it, and a killed deploy does not write
it: Chalice would create a second API at another address. So AWS is asked for the names that Chalice gives.
"""

import json
import os
from collections.abc import Iterator
from typing import Any

import boto3

from chalicelib.core.config import PROJECT
from infra import config
from infra.functions import API, FUNCTIONS

Resource = dict[str, Any]


def resources(stage: str) -> list[Resource]:
    """Return the stage's resources in the form and order of Chalice's file; none if it was never deployed."""
    deployed = dict(_functions(stage))
    roles = _roles(stage, {*deployed, *(function.name for function in FUNCTIONS)})
    functions = [
        {"name": name, "resource_type": "lambda_function", "lambda_arn": arn} for name, arn in deployed.items()
    ]
    triggers = [
        trigger for name, arn in deployed.items() for trigger in (*_event_sources(arn, name), *_schedule(stage, name))
    ]
    return [*roles, *functions, *triggers, *_rest_api(stage)]


def chalice_file(stage: str) -> dict[str, Any]:
    """Return the stage in the form of Chalice's file."""
    return {"resources": resources(stage), "schema_version": "2.0", "backend": "api"}


def write(stage: str) -> None:
    """Write Chalice's file, for those of its commands that read nothing else."""
    file = config.PROJECT / ".chalice" / "deployed" / f"{stage}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(chalice_file(stage), indent=2), encoding="utf-8")


def rest_api_id(stage: str) -> str:
    """Return the ID of the stage's REST API; empty if it is not deployed."""
    return next((str(resource["rest_api_id"]) for resource in _rest_api(stage)), "")


def stage_url(rest_api: Resource, stage_name: str) -> str:
    """Return the URL of a stage's API.

    On a local AWS it names the API in the host: in a path, the links of its responses would lack the prefix.
    """
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if not endpoint:
        return str(rest_api["rest_api_url"]).rstrip("/")
    return f"http://{rest_api['rest_api_id']}.execute-api.localhost:{endpoint.rpartition(':')[2]}/{stage_name}"


def api_url(stage: config.Stage) -> str:
    """Return the URL of a stage's API for links in emails; empty while it is not deployed.

    `make run` has its own in EDUFLOW_API_URL: it serves the API at another URL than that of the stage.
    """
    if url := os.environ.get("EDUFLOW_API_URL") or stage.variables.get("PUBLIC_BASE_URL"):
        return url
    return next((stage_url(resource, stage.name) for resource in _rest_api(stage.name)), "")


def _functions(stage: str) -> Iterator[tuple[str, str]]:
    """Return Chalice's names of the deployed functions and their ARNs, functions of other versions included."""
    api = API.lambda_name(stage)
    for page in boto3.client("lambda").get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            name = function["FunctionName"]
            if name == api:
                yield API.name, function["FunctionArn"]
            elif name.startswith(f"{api}-"):
                yield name.removeprefix(f"{api}-"), function["FunctionArn"]


def _event_sources(arn: str, name: str) -> Iterator[Resource]:
    mappings = boto3.client("lambda").list_event_source_mappings(FunctionName=arn.rpartition(":")[2])
    for mapping in mappings["EventSourceMappings"]:
        # LocalStack filters by a part of the ARN: the API's is a part of every worker's. moto filters by names only.
        if mapping["State"] == "Deleting" or mapping["FunctionArn"] != arn:
            continue
        yield {
            "name": f"{name}-sqs-event-source",
            "resource_type": "sqs_event",
            "queue_arn": mapping["EventSourceArn"],
            "event_uuid": mapping["UUID"],
            "queue": mapping["EventSourceArn"].rpartition(":")[2],
            "lambda_arn": arn,
        }


def _schedule(stage: str, name: str) -> Iterator[Resource]:
    rule = f"{PROJECT}-{stage}-{name}-event"
    if any(one["Name"] == rule for one in boto3.client("events").list_rules(NamePrefix=rule)["Rules"]):
        yield {"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule}


def _roles(stage: str, functions: set[str]) -> Iterator[Resource]:
    client = boto3.client("iam")
    for name in sorted(functions):
        role = f"{PROJECT}-{stage}-{name}"
        try:
            arn = client.get_role(RoleName=role)["Role"]["Arn"]
        except client.exceptions.NoSuchEntityException:
            continue
        yield {"name": f"{name}_role", "resource_type": "iam_role", "role_arn": arn, "role_name": role}


def _rest_api(stage: str) -> Iterator[Resource]:
    """Return the REST API of the stage: those of all stages have one name, and a killed deploy may leave no stage."""
    client = boto3.client("apigateway")
    region = client.meta.region_name
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] == PROJECT and _belongs_to(client, api["id"], stage):
                # The supported regions are of one partition and have one domain.
                url = f"https://{api['id']}.execute-api.{region}.amazonaws.com/{stage}/"
                yield {"name": "rest_api", "resource_type": "rest_api", "rest_api_id": api["id"], "rest_api_url": url}
                return


def _belongs_to(client: Any, api_id: str, stage: str) -> bool:
    stage_names = [one["stageName"] for one in client.get_stages(restApiId=api_id)["item"]]
    if stage_names:
        return stage in stage_names
    api = API.lambda_name(stage)
    for resource in client.get_resources(restApiId=api_id, embed=["methods"])["items"]:
        for method in resource.get("resourceMethods", {}).values():
            if f":function:{api}/invocations" in method.get("methodIntegration", {}).get("uri", ""):
                return True
    return False
