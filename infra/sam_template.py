"""``make package``: a stage as templates, for those who deploy by CloudFormation (SAM).

What `chalice package` lacks is merged into its template: the settings that `chalice deploy` applies afterwards.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra import config, stacks
from infra.chalice import stage_settings
from infra.functions import EMAILS, FUNCTIONS, log_group


def merge_template(stage: config.Stage) -> dict[str, Any]:
    """Return the template that is merged into that of `chalice package`.

    Raises StageSettingsError.
    """
    resources: dict[str, Any] = {}
    for function in FUNCTIONS:
        properties: dict[str, Any] = {"FunctionName": function.lambda_name(stage.name)}
        if function.queue:
            source = {"Properties": {"FunctionResponseTypes": ["ReportBatchItemFailures"]}}
            properties["Events"] = {f"{function.resource}SqsEventSource": source}
        if function is EMAILS:
            properties["Environment"] = {"Variables": {"API_URL": _api_url(stage)}}
        if function.is_recursive:
            properties["RecursiveLoop"] = "Allow"
        log = {"LogGroupName": log_group(function, stage.name), "RetentionInDays": stage_settings.LOG_DAYS}
        resources[function.resource] = {"Properties": properties}
        resources[f"{function.resource}LogGroup"] = {"Type": "AWS::Logs::LogGroup", "Properties": log}
        if stage.permissions_boundary:
            resources[function.role_resource] = {"Properties": {"PermissionsBoundary": stage.permissions_boundary}}
    access_log = {"Fn::ImportValue": f"eduflow-{stage.name}-access-log"}
    resources["RestAPI"] = {"Properties": stage_settings.properties(stage.variables, access_log)}
    return {"Resources": resources}


def _api_url(stage: config.Stage) -> Any:
    """Return the URL of the API for links in emails: that of the custom domain, or of the stage."""
    stage_url = f"https://${{RestAPI}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{stage.name}"
    return stage.variables.get("PUBLIC_BASE_URL") or {"Fn::Sub": stage_url}


def write(stage: config.Stage, folder: Path) -> list[str]:
    """Write the stage's templates and package into a folder, and return the names of the other stacks' templates.

    Raises CalledProcessError when Chalice fails, StageSettingsError.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    merge = folder / "merge.json"
    merge.write_text(json.dumps(merge_template(stage), indent=2))
    chalice = (sys.executable, "-m", "infra.chalice.cli")
    command = [*chalice, "package", "--stage", stage.name, "--merge-template", str(merge), str(folder)]
    subprocess.run(command, cwd=config.PROJECT, check=True)
    merge.unlink()
    templates = [stack.template for stack in stacks.stage_stacks(stage) if stack.is_wanted]
    for template in (stacks.ACCOUNT, *templates):
        shutil.copyfile(template, folder / template.name)
    return [template.name for template in (stacks.ACCOUNT, *templates)]


def main() -> None:
    """Run ``python -m infra.sam_template STAGE FOLDER``."""
    try:
        stage, folder = config.load_stage(sys.argv[1]), Path(sys.argv[2]).resolve()
        templates = write(stage, folder)
    except (config.OperatorError, OSError) as error:  # OSError: such as a read-only folder
        sys.exit(str(error))
    except subprocess.CalledProcessError:
        sys.exit("`chalice package` failed (see above).")
    print(
        f"Written to {folder}: the functions (sam.json, deployment.zip) and the other stacks ({', '.join(templates)})."
    )
    print("docs/deploying.md has the commands that deploy them.")


if __name__ == "__main__":
    main()
