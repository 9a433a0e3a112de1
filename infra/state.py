"""What of a stage is deployed, as AWS says it.

Chalice remembers that in a file beside the project. On another machine, or after a deploy that was
killed, the file lacks what is there: Chalice would make a second API at another address. So AWS is
asked, by the names that Chalice gives.
"""

import json
from collections.abc import Iterator
from typing import Any

import boto3

from infra import stages

Resource = dict[str, Any]

API = "eduflow"


def resources(stage: str) -> list[Resource]:
    """The stage's resources, in the form and order of Chalice's file; none if it was never deployed."""
    functions = dict(_functions(stage))
    found = [*_roles(stage, {*functions, *stages.functions()})]
    found += [{"name": name, "resource_type": "lambda_function", "lambda_arn": arn} for name, arn in functions.items()]
    for name, arn in functions.items():
        found += [*_event_sources(arn, name), *_schedule(stage, name)]
    return [*found, *_api(stage)]


def chalice_file(stage: str) -> dict[str, Any]:
    """The stage as Chalice's file has it."""
    return {"resources": resources(stage), "schema_version": "2.0", "backend": "api"}


def write(stage: str) -> None:
    """Write Chalice's file anew, for those of its commands that read nothing else."""
    file = stages.PROJECT / ".chalice" / "deployed" / f"{stage}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(chalice_file(stage), indent=2), encoding="utf-8")


def _functions(stage: str) -> Iterator[tuple[str, str]]:
    """Chalice's names of the functions, and their ARNs: ``eduflow-<stage>`` is the API, the others end in theirs."""
    start = f"{API}-{stage}"
    for page in boto3.client("lambda").get_paginator("list_functions").paginate():
        for one in page["Functions"]:
            name = one["FunctionName"]
            if name == start:
                yield "api_handler", one["FunctionArn"]
            elif name.startswith(f"{start}-"):
                yield name.removeprefix(f"{start}-"), one["FunctionArn"]


def _event_sources(arn: str, name: str) -> Iterator[Resource]:
    sources = boto3.client("lambda").list_event_source_mappings(FunctionName=arn)["EventSourceMappings"]
    for one in sources:
        # LocalStack filters by a part of the ARN, so that the API's is in that of every worker.
        if one["State"] == "Deleting" or one["FunctionArn"] != arn:
            continue
        yield {
            "name": f"{name}-sqs-event-source",
            "resource_type": "sqs_event",
            "queue_arn": one["EventSourceArn"],
            "event_uuid": one["UUID"],
            "queue": one["EventSourceArn"].rpartition(":")[2],
            "lambda_arn": arn,
        }


def _schedule(stage: str, name: str) -> Iterator[Resource]:
    rule = f"{API}-{stage}-{name}-event"
    if any(one["Name"] == rule for one in boto3.client("events").list_rules(NamePrefix=rule)["Rules"]):
        yield {"name": f"{name}-event", "resource_type": "cloudwatch_event", "rule_name": rule}


def _roles(stage: str, functions: set[str]) -> Iterator[Resource]:
    client = boto3.client("iam")
    for name in sorted(functions):
        role = f"{API}-{stage}-{name}"
        try:
            arn = client.get_role(RoleName=role)["Role"]["Arn"]
        except client.exceptions.NoSuchEntityException:
            continue
        yield {"name": f"{name}_role", "resource_type": "iam_role", "role_arn": arn, "role_name": role}


def _api(stage: str) -> Iterator[Resource]:
    """The REST API of the stage: all stages' APIs have one name, and one that was killed early has no stage yet."""
    client = boto3.client("apigateway")
    for page in client.get_paginator("get_rest_apis").paginate():
        for api in page["items"]:
            if api["name"] == API and _is_of(client, api["id"], stage):
                url = f"https://{api['id']}.execute-api.{client.meta.region_name}.amazonaws.com/{stage}/"
                yield {
                    "name": "rest_api",
                    "resource_type": "rest_api",
                    "rest_api_id": api["id"],
                    "rest_api_url": url,
                }
                return


def _is_of(client: Any, api_id: str, stage: str) -> bool:
    stages = [one["stageName"] for one in client.get_stages(restApiId=api_id)["item"]]
    if stages:
        return stage in stages
    for resource in client.get_resources(restApiId=api_id, embed=["methods"])["items"]:
        for method in resource.get("resourceMethods", {}).values():
            if f":function:{API}-{stage}/invocations" in method.get("methodIntegration", {}).get("uri", ""):
                return True
    return False
