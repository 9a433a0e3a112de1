"""What an account lacks for a stage, found before a deploy changes anything."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import config, email_sender
from infra.functions import API
from infra.platforms import AWS, SUPPORTED_REGIONS, platform_of

MIN_CONCURRENCY = 100  # API, authorizer and workers share it; a new account may have 10
_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError")

# One action of each service that a deploy uses, with a resource that it acts on.
_ACTIONS = {
    "cloudformation:CreateChangeSet": "arn:{partition}:cloudformation:{region}:{account}:stack/eduflow-{stage}/*",
    "dynamodb:CreateTable": "arn:{partition}:dynamodb:{region}:{account}:table/eduflow-users-{stage}",
    "sqs:CreateQueue": "arn:{partition}:sqs:{region}:{account}:eduflow-deletions-{stage}",
    "secretsmanager:CreateSecret": "arn:{partition}:secretsmanager:{region}:{account}:secret:eduflow/{stage}/*",
    "logs:CreateLogGroup": "arn:{partition}:logs:{region}:{account}:log-group:/eduflow/{stage}/access",
    "iam:CreateRole": "arn:{partition}:iam::{account}:role/eduflow-{stage}-api_handler",
    "iam:PassRole": "arn:{partition}:iam::{account}:role/eduflow-{stage}-api_handler",
    "lambda:CreateFunction": "arn:{partition}:lambda:{region}:{account}:function:eduflow-{stage}",
    "events:PutRule": "arn:{partition}:events:{region}:{account}:rule/eduflow-{stage}-cleanup-event",
    "apigateway:POST": "arn:{partition}:apigateway:{region}::/restapis",
    "ses:VerifyEmailIdentity": "*",
}


@dataclass(frozen=True)
class Finding:
    """Something that the account or this machine lacks, and its consequence."""

    message: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{'ERROR' if self.is_fatal else 'WARNING'}  {self.message}"


def check(stage: config.Stage, new_runtime: bool = False) -> list[Finding]:
    """Return the findings that impair a deploy of a stage; a fatal one would make it fail.

    ``new_runtime`` accepts that the functions change to the Python version of this process.
    """
    findings = [*_runtime(stage.name)] if not new_runtime else []
    if platform_of(stage.name) is not AWS:
        return findings
    findings += _region()
    for checks in (_concurrency, _sender, _sandbox, _permissions):
        findings += _unless_denied(checks, stage)
    return findings


def _unless_denied(checks: Callable[[config.Stage], Iterator[Finding]], stage: config.Stage) -> list[Finding]:
    try:
        return [*checks(stage)]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _DENIED:
            raise
        return [Finding(f"{checks.__name__.strip('_').capitalize()} could not be checked: {error}")]
    except BotoCoreError as error:
        return [Finding(f"{checks.__name__.strip('_').capitalize()} could not be checked: {error}")]


def _runtime(stage_name: str) -> Iterator[Finding]:
    """Chalice takes the runtime from the Python that deploys. Changed by accident, calls fail while it changes."""
    client = boto3.client("lambda")
    try:
        deployed = client.get_function_configuration(FunctionName=API.lambda_name(stage_name)).get("Runtime", "")
    except client.exceptions.ResourceNotFoundException:
        return
    own = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if deployed != own:
        yield Finding(
            f"The functions run on {deployed}, and this deploy would change them to {own}. Deploy with {deployed} "
            "(`make clean`, then PYTHON=...), or accept the change with NEW_RUNTIME=1.",
            is_fatal=True,
        )


def _region() -> Iterator[Finding]:
    region = boto3.session.Session().region_name
    if region not in SUPPORTED_REGIONS:
        yield Finding(f"{region} is not among the regions that have every service (docs/verification.md). It may fail.")


def _concurrency(stage: config.Stage) -> Iterator[Finding]:
    limit = boto3.client("lambda").get_account_settings()["AccountLimit"]["ConcurrentExecutions"]
    if limit < MIN_CONCURRENCY:
        yield Finding(
            f"The account runs {limit} Lambda functions at a time: bursts are answered with 429. Request more "
            "in Service Quotas ('Concurrent executions')."
        )


def _sender(stage: config.Stage) -> Iterator[Finding]:
    if email_sender.is_reserved(stage.sender):
        yield Finding(
            f"MAIL_FROM is {stage.sender}, of a reserved domain: no email can be sent. Set it in .chalice/config.json."
        )
    elif not email_sender.is_verified(stage.sender):
        yield Finding(
            f"{stage.sender} is not verified: the deploy makes SES send it a link. Until then no email is sent."
        )


def _sandbox(stage: config.Stage) -> Iterator[Finding]:
    if not boto3.client("sesv2").get_account()["ProductionAccessEnabled"]:
        yield Finding(
            "SES is in its sandbox: it sends to verified addresses only, and 200 emails a day. Request production "
            "access in the SES console."
        )


def _permissions(stage: config.Stage) -> Iterator[Finding]:
    """Ask IAM to simulate the deploy's actions. An SCP or a permissions boundary may deny more."""
    identity = boto3.client("sts").get_caller_identity()
    names = _arn_parts(identity, stage)
    context = {"iam:PassedToService": "lambda.amazonaws.com"}
    if stage.permissions_boundary:
        context["iam:PermissionsBoundary"] = stage.permissions_boundary
    denied = []
    for action, resource in _ACTIONS.items():
        result = boto3.client("iam").simulate_principal_policy(
            PolicySourceArn=_principal(identity["Arn"]),
            ActionNames=[action],
            ResourceArns=[resource.format(**names)],
            ContextEntries=[
                {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for key, value in context.items()
            ],
        )
        denied += [one["EvalActionName"] for one in result["EvaluationResults"] if one["EvalDecision"] != "allowed"]
    if denied:
        yield Finding(f"{identity['Arn']} may not: {', '.join(denied)}.", is_fatal=True)


def _arn_parts(identity: dict[str, Any], stage: config.Stage) -> dict[str, str]:
    partition = identity["Arn"].split(":")[1]
    region = boto3.session.Session().region_name
    return {"partition": partition, "region": str(region), "account": identity["Account"], "stage": stage.name}


def _principal(arn: str) -> str:
    """Return the ARN of a user or role, for that of an assumed role's session."""
    if ":assumed-role/" not in arn:
        return arn
    start, _, rest = arn.partition(":assumed-role/")
    return f"{start.replace(':sts:', ':iam:')}:role/{rest.partition('/')[0]}"
