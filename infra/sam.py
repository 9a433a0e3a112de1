"""``make package``: a stage as templates, for those who deploy by CloudFormation (SAM).

What `chalice package` can't say is merged into its template from here: the same that
`chalice deploy` has set afterwards.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra import provision, stage, stages

FUNCTIONS = {
    "APIHandler": "",
    "Authorizer": "-authorizer",
    "EnrollmentEmails": "-enrollment_emails",
    "DeleteWhatHangsOn": "-delete_what_hangs_on",
    "DailyReport": "-daily_report",
    "CleanUp": "-clean_up",
}
"""The functions, by Chalice's names in the template and the end of theirs, which alarms and logs know them by."""

_QUEUES = ("EnrollmentEmails", "DeleteWhatHangsOn")


def merge_template(wanted: stages.Stage) -> dict[str, Any]:
    """What is to be merged into the template of `chalice package`.

    Raises BadStageSettings.
    """
    resources: dict[str, Any] = {}
    for resource, ending in FUNCTIONS.items():
        name = f"eduflow-{wanted.name}{ending}"
        resources[resource] = {"Properties": {"FunctionName": name}}
        log = {"LogGroupName": f"/aws/lambda/{name}", "RetentionInDays": stage.LOG_DAYS}
        resources[f"{resource}LogGroup"] = {"Type": "AWS::Logs::LogGroup", "Properties": log}
    for resource in _QUEUES:
        source = {"Properties": {"FunctionResponseTypes": ["ReportBatchItemFailures"]}}
        resources[resource]["Properties"]["Events"] = {f"{resource}SqsEventSource": source}
    access_log = {"Fn::ImportValue": f"eduflow-{wanted.name}-access-log"}
    resources["RestAPI"] = {"Properties": stage.properties(wanted.variables, access_log)}
    return {"Resources": resources}


def write(wanted: stages.Stage, out: Path) -> None:
    """Write the stage's templates and package into a folder.

    Raises CalledProcessError when Chalice fails, BadStageSettings.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    merge = out / "merge.json"
    merge.write_text(json.dumps(merge_template(wanted), indent=2))
    chalice = str(Path(sys.executable).with_name("chalice"))
    command = [chalice, "package", "--stage", wanted.name, "--merge-template", str(merge), str(out)]
    subprocess.run(command, cwd=stages.PROJECT, check=True)
    merge.unlink()
    for stack in provision.stacks(wanted):
        if stack.is_wanted:
            shutil.copyfile(stack.template, out / stack.template.name)


def main() -> None:
    """``python -m infra.sam STAGE FOLDER``."""
    try:
        wanted, out = stages.stage(sys.argv[1]), Path(sys.argv[2]).resolve()
        write(wanted, out)
    except stages.Refused as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError:
        sys.exit("`chalice package` failed (see above).")
    print(f"In {out}: the functions (sam.json, deployment.zip), and what they need ({', '.join(_needs(wanted))}).")
    print("docs/deploying.md has the commands.")


def _needs(wanted: stages.Stage) -> list[str]:
    return [stack.template.name for stack in provision.stacks(wanted) if stack.is_wanted]


if __name__ == "__main__":
    main()
