"""The CloudFormation stacks of a stage: everything that Chalice does not create."""

import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from chalicelib.core.config import PROJECT
from infra import cloudformation, config, email_sender
from infra.cloudformation import Stack
from infra.config import Stage

TEMPLATES = Path(__file__).parent / "templates"
ACCOUNT = TEMPLATES / "account.yaml"
DATA = TEMPLATES / "data.yaml"
CACHE = TEMPLATES / "cache.yaml"
DOMAIN = TEMPLATES / "domain.yaml"
MONITORING = TEMPLATES / "monitoring.yaml"
BUDGET = TEMPLATES / "budget.yaml"
BUDGET_REGION = "us-east-1"  # AWS Budgets is a global service; many regions lack its CloudFormation type


def account_stack() -> Stack | None:
    """Return the stack of what one account and region share, or None if something else has set it.

    API Gateway's role for writing logs is one setting of the whole account and region
    (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html). So it belongs to no stage,
    `make destroy` keeps it, and a role that the account already has stays.
    """
    stack = Stack(f"{PROJECT}-account", ACCOUNT, {})
    has_role = bool(boto3.client("apigateway").get_account().get("cloudwatchRoleArn"))
    return stack if cloudformation.status(stack) or not has_role else None


def stage_stacks(stage: Stage, zones: tuple[str, ...] = (), api_id: str = "") -> list[Stack]:
    """Return the stacks of a stage, in the order in which they are created.

    ``zones`` are the availability zones of the cache's VPC (`infra.vpc.zones`); ``api_id`` is the REST API's.
    """
    name, parameters = f"{PROJECT}-{stage.name}", {"Stage": stage.name}
    data = {cloudformation.PROTECTED: str(stage.name == config.PRODUCTION).lower()}
    domain = {"DomainName": stage.domain_name, "CertificateArn": stage.certificate_arn, "RestApiId": api_id}
    monitoring = {"AlarmEmail": stage.alarm_email, "HasCache": str(stage.cache).lower()}
    budget = {"AlarmEmail": stage.alarm_email, "MonthlyBudget": str(stage.monthly_budget)}
    return [
        Stack(name, DATA, parameters | data, has_data=True),
        Stack(f"{name}-cache", CACHE, parameters | dict(zip(("ZoneA", "ZoneB"), zones, strict=False)), stage.cache),
        Stack(f"{name}-domain", DOMAIN, parameters | domain, bool(stage.domain_name), follows_functions=True),
        Stack(f"{name}-monitoring", MONITORING, parameters | monitoring, bool(stage.alarm_email), True),
        Stack(f"{name}-budget", BUDGET, parameters | budget, bool(stage.alarm_email), True, BUDGET_REGION),
    ]


def provision(stage: Stage) -> None:
    """Create the stacks and the email sender that the functions of a stage need.

    Raises ProvisioningError.
    """
    account = account_stack()
    for stack in [*([account] if account else []), *stage_stacks(stage)]:
        if stack.is_wanted and not stack.follows_functions:
            cloudformation.apply(cloudformation.plan(stack))
    email_sender.verify(stage.sender)


def main() -> None:
    """Run ``python -m infra.stacks STAGE``."""
    try:
        provision(config.load_stage(sys.argv[1]))
    except (config.OperatorError, BotoCoreError, ClientError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
