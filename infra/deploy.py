"""``make deploy STAGE=...`` and ``make destroy STAGE=...``.

Each step compares the deployed resources with the desired ones: after a failure or a kill, run the same command again.
"""

import argparse
import json
import subprocess
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from infra import cloudformation, config, email_sender, lambda_state, preflight, smoke_test, stacks, vpc
from infra.chalice import deployed_resources
from infra.cloudformation import Plan, Stack
from infra.functions import FUNCTIONS

_EVENT_KEYS = ("version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail")
_CHALICE = (sys.executable, "-m", "infra.chalice.cli")


def deploy(stage: config.Stage, confirm: bool, new_runtime: bool = False) -> None:
    """Check the account, preview the changes, and make the stage what the files of this folder say.

    Raises OperatorError.
    """
    _check_account(stage, new_runtime)
    own = _stacks(stage)
    unwanted = [stack for stack in own if not stack.is_wanted and cloudformation.status(stack)]
    plans = [cloudformation.plan(stack) for stack in own if stack.is_wanted and stack.is_ready]
    _preview(stage, plans, unwanted, [stack for stack in own if stack.is_wanted and not stack.is_ready])
    if confirm and not _confirm("Go on?"):
        for plan in plans:
            cloudformation.discard(plan)
        raise config.OperatorError("Nothing was changed.")
    for plan in (plan for plan in plans if not plan.stack.follows_functions):
        _apply(plan)
    email_sender.verify(stage.sender)
    _wait_until_stable(stage.name)
    print("Deploying the functions (chalice deploy) ...", flush=True)
    _run_chalice("deploy", stage.name)
    for stack in unwanted:
        _remove(stage, stack)
    _apply_following(stage, plans)
    url = smoke_test.run(stage, say=print)
    if not stage.alarm_email:
        print(f"No alarms: the stage {stage.name} has no alarm_email in .chalice/config.json.")
    if stage.domain_name:
        target = cloudformation.outputs(f"eduflow-{stage.name}-domain").get("DnsTarget")
        print(f"Custom domain: https://{stage.domain_name} once its DNS record is a CNAME of {target}.")
    print(f"Deployed: {url}/api/v1/")


def destroy(stage: config.Stage, confirmed: str) -> None:
    """Delete a stage's functions and stacks, and keep its tables.

    Raises OperatorError.
    """
    if confirmed != stage.name:
        print(f"This deletes the stage {stage.name}: its API, functions, queues with their messages, keys and alarms.")
        print("Its tables stay, and a later deploy of the same stage uses them. Its logs expire after 30 days.")
        if _ask(f"Type {stage.name} to go on: ") != stage.name:
            raise config.OperatorError("Nothing was deleted.")
    data, *others = stacks.stage_stacks(stage)
    for stack in reversed(others):
        _remove(stage, stack)
    print("Deleting the functions (chalice delete) ...", flush=True)
    _run_chalice("delete", stage.name)
    _remove(stage, data)
    print(f"The stage {stage.name} is deleted.")


def _check_account(stage: config.Stage, new_runtime: bool) -> None:
    findings = preflight.check(stage, new_runtime)
    for finding in findings:
        print(finding, flush=True)
    if any(finding.is_fatal for finding in findings):
        raise config.OperatorError("Nothing was changed.")


def _stacks(stage: config.Stage) -> list[Stack]:
    account = stacks.account_stack()
    zones = vpc.zones(stage) if stage.cache else ()
    own = stacks.stage_stacks(stage, zones, deployed_resources.rest_api_id(stage.name))
    return [account, *own] if account else own


def _preview(stage: config.Stage, plans: list[Plan], unwanted: list[Stack], later: list[Stack]) -> None:
    print(f"Stage {stage.name}: changes")
    for plan in plans:
        print(f"  {plan.stack.name}: {len(plan.changes) or 'none'}")
        for change in plan.changes:
            print(f"    {change}")
        if plan.is_import:
            print("    then everything else of its template")
    for stack in later:
        print(f"  {stack.name}: created once the API exists")
    for stack in unwanted:
        print(f"  {stack.name}: deleted")
    print("  functions: packaged if their files changed, and configured as .chalice/config.json says", flush=True)


def _apply(plan: Plan) -> None:
    if plan.changes:
        print(f"Updating {plan.stack.name} (CloudFormation; a new stack takes minutes) ...", flush=True)
        cloudformation.apply(plan)


def _apply_following(stage: config.Stage, plans: list[Plan]) -> None:
    """Apply the stacks that need the functions: the domain maps to their API, and alarms watch them."""
    planned = {plan.stack.name: plan for plan in plans if plan.stack.follows_functions}
    monitoring = planned.get(f"eduflow-{stage.name}-monitoring")
    if monitoring and cloudformation.status(monitoring.stack) == "REVIEW_IN_PROGRESS":
        _run_schedules(stage.name)
    for stack in _stacks(stage):
        if stack.is_wanted and stack.follows_functions:
            _apply(planned.get(stack.name) or cloudformation.plan(stack))


def _run_schedules(stage_name: str) -> None:
    """Run the hourly functions once: an alarm on missing runs would start in ALARM until the first hour is over."""
    event = json.dumps(dict.fromkeys(_EVENT_KEYS, ""))
    for name in (function.lambda_name(stage_name) for function in FUNCTIONS if function.is_scheduled):
        boto3.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=event)


def _remove(stage: config.Stage, stack: Stack) -> None:
    if cloudformation.status(stack) is None:
        return
    print(f"Deleting {stack.name} ...", flush=True)
    if stack.template == stacks.CACHE:
        print("Lambda has to leave the VPC first, which takes some 20 minutes ...", flush=True)
        vpc.detach_functions(stage.name, say=print)
    cloudformation.remove(stack)


def _wait_until_stable(stage_name: str) -> None:
    """Wait for functions that a killed deploy left in the middle of a change."""
    for function in FUNCTIONS:
        lambda_state.wait_until_stable(function.lambda_name(stage_name))


def _run_chalice(command: str, stage_name: str) -> None:
    deployed_resources.write(stage_name)
    finished = subprocess.run([*_CHALICE, command, "--stage", stage_name], cwd=config.PROJECT, check=False)
    if finished.returncode:
        raise config.OperatorError(f"`chalice {command}` failed (see above). Run the same command again to go on.")


def _confirm(question: str) -> bool:
    return _ask(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _ask(question: str) -> str:
    """Return the typed line, or nothing at Ctrl-D or the end of the input."""
    try:
        return input(question)
    except EOFError:
        print()
        return ""


def _require_terminal(confirmed: bool) -> None:
    """Reject a deploy that cannot ask: a script or scheduler must confirm it explicitly."""
    if not confirmed and not sys.stdin.isatty():
        raise config.OperatorError("There is no terminal to confirm the changes on: use `make deploy ... YES=1`.")


def main() -> None:
    """Run ``python -m infra.deploy deploy|destroy STAGE``."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("command", choices=["deploy", "destroy"])
    parser.add_argument("stage")
    parser.add_argument("--yes", action="store_true", help="deploy: do not ask, as in CI; errors still stop it")
    parser.add_argument(
        "--new-runtime", action="store_true", help="deploy: change the functions to this Python version"
    )
    parser.add_argument("--confirm", default="", metavar="STAGE", help="destroy: the stage's name again")
    options = parser.parse_args()
    try:
        stage = config.load_stage(options.stage)
        config.configure_aws_endpoint(stage.name)
        config.require_local_endpoint(stage.name)
        if options.command == "deploy":
            _require_terminal(options.yes)
            deploy(stage, confirm=not options.yes, new_runtime=options.new_runtime)
        else:
            destroy(stage, options.confirm)
    except (NoRegionError, NoCredentialsError) as error:
        sys.exit(f"{error} Set AWS_DEFAULT_REGION and AWS_PROFILE: docs/deploying.md.")
    except (config.OperatorError, BotoCoreError, ClientError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. Run the same command again to go on.")


if __name__ == "__main__":
    main()
