"""``make deploy STAGE=…`` and ``make destroy STAGE=…``: infrastructure, functions, settings, smoke test.

Each step finds out what is there and makes up the difference: after a failure at any of them, or a
kill, the same command goes on.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra import network, provision, smoke, stages, state

CHALICE = str(Path(sys.executable).with_name("chalice"))


def deploy(wanted: stages.Stage, confirm: bool) -> None:
    """Show what will change, then make the stage what the files of this folder say.

    Raises Refused, ProvisioningFailed, NotAsDeployed, BadStageSettings.
    """
    stacks = provision.stacks(wanted)
    plans = [provision.plan(stack) for stack in stacks if stack.is_wanted]
    unwanted = [stack for stack in stacks if not stack.is_wanted and provision.status(stack.name)]
    print(f"Stage {wanted.name}: what will change")
    for plan in plans:
        print(f"  {plan.stack.name}: {len(plan.changes) or 'nothing'}")
        for change in plan.changes:
            print(f"    {change}")
    for stack in unwanted:
        print(f"  {stack.name}: removed")
    print("  functions: packed anew if anything in them changed, and configured as .chalice/config.json says")
    if confirm and not _agrees("Go on?"):
        raise stages.Refused("Nothing was changed.")
    for plan in plans:
        if plan.changes:
            print(f"Making {plan.stack.name} (CloudFormation; minutes, when it is new) ...", flush=True)
            provision.apply(plan)
    print("Deploying the functions (chalice deploy) ...", flush=True)
    _settle(wanted.name)
    _chalice("deploy", wanted.name)
    for stack in unwanted:
        _remove(wanted, stack)
    deployed = smoke.Deployed(wanted)
    print(f"Smoke test of {deployed.url}", flush=True)
    deployed.check(say=print)
    if not wanted.alarm_email:
        print(f"Nobody is told when something goes wrong: {wanted.name} has no alarm_email in .chalice/config.json.")
    print(f"Deployed: {deployed.url}/api/v1/")


def destroy(wanted: stages.Stage, confirmed: str) -> None:
    """Remove a stage's functions and stacks; tables with data and the signing keys stay.

    Raises Refused, ProvisioningFailed.
    """
    if confirmed != wanted.name:
        print(f"This ends the stage {wanted.name}: its API, functions, queues with all that waits in them, and alarms.")
        print("Its tables and its signing keys stay, and have to be deleted by hand.")
        if input(f"Type {wanted.name} to go on: ") != wanted.name:
            raise stages.Refused("Nothing was removed.")
    *others, own = reversed(provision.stacks(wanted))
    for stack in others:
        _remove(wanted, stack)
    print("Removing the functions (chalice delete) ...", flush=True)
    _chalice("delete", wanted.name)
    _remove(wanted, own)
    print(f"The stage {wanted.name} is gone.")


def _remove(wanted: stages.Stage, stack: provision.Stack) -> None:
    if provision.status(stack.name) is None:
        return
    print(f"Removing {stack.name} ...", flush=True)
    if stack.template == provision.CACHE:
        print("Lambda lets go of its network first, which takes some 20 minutes ...", flush=True)
        network.leave(wanted.name, say=print)
    provision.remove(stack)


def _settle(stage_name: str) -> None:
    """Wait for functions that a killed deploy left in the middle of a change."""
    client = boto3.client("lambda")
    for one in state.resources(stage_name):
        if one["resource_type"] == "lambda_function":
            client.get_waiter("function_active_v2").wait(FunctionName=one["lambda_arn"])
            client.get_waiter("function_updated_v2").wait(FunctionName=one["lambda_arn"])


def _chalice(command: str, stage_name: str) -> None:
    state.write(stage_name)
    done = subprocess.run([CHALICE, command, "--stage", stage_name], cwd=stages.PROJECT, check=False)
    if done.returncode:
        raise stages.Refused(f"`chalice {command}` failed (see above). The same command goes on from where it is.")


def _agrees(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def main() -> None:
    """``python -m infra.deploy deploy|destroy STAGE``."""
    parser = argparse.ArgumentParser(prog="python -m infra.deploy", description=__doc__)
    parser.add_argument("command", choices=["deploy", "destroy"])
    parser.add_argument("stage")
    parser.add_argument("--yes", action="store_true", help="deploy: ask nothing, as in CI")
    parser.add_argument("--confirm", default="", metavar="STAGE", help="destroy: the stage's name once more")
    options = parser.parse_args()
    try:
        wanted = stages.stage(options.stage)
        stages.aim(wanted.name)
        if options.command == "deploy":
            deploy(wanted, confirm=sys.stdin.isatty() and not options.yes)
        else:
            destroy(wanted, options.confirm)
    except (stages.Refused, BotoCoreError, ClientError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
