"""What Chalice can't be told by its config.json, put into `chalice deploy` and `chalice package`.

app.py installs it when the Chalice CLI loads the app; it is never shipped. It replaces five of
Chalice's own methods, which are no public API: chalice is pinned, and a test holds their names.
"""

import json
import os
from typing import Any

from botocore.waiter import SingleWaiterConfig
from chalice.config import Config
from chalice.deploy.deployer import PolicyGenerator, ResultsRecorder
from chalice.deploy.packager import LambdaDeploymentPackager
from chalice.deploy.swagger import SwaggerGenerator

from infra import gateway, package, stage

_LOCAL_POLL_SECONDS = 0.2


def install() -> None:
    """Extend Chalice in this process; once."""
    if getattr(SwaggerGenerator, "_eduflow", False):
        return
    SwaggerGenerator._eduflow = True  # type: ignore[attr-defined]
    _extend_swagger()
    _replace_packager()
    _name_stage_in_policies()
    _finish_deploys()
    if os.environ.get("AWS_ENDPOINT_URL"):
        _poll_often()


def _extend_swagger() -> None:
    generate = SwaggerGenerator.generate_swagger

    def generate_swagger(self: Any, app: Any, rest_api: Any = None) -> dict[str, Any]:
        return gateway.extend(generate(self, app, rest_api), self._uri())

    SwaggerGenerator.generate_swagger = generate_swagger  # type: ignore[method-assign]


def _replace_packager() -> None:
    def create_deployment_package(self: Any, project_dir: str, python_version: str) -> str:
        return str(package.build(project_dir, python_version, say=self._ui.write))

    LambdaDeploymentPackager.create_deployment_package = create_deployment_package  # type: ignore[method-assign]


def _name_stage_in_policies() -> None:
    def handle_filebasediampolicy(self: Any, config: Config, resource: Any) -> None:
        text = self._osutils.get_file_contents(resource.filename, binary=False)
        resource.document = json.loads(text.replace("${stage}", config.chalice_stage))

    PolicyGenerator.handle_filebasediampolicy = handle_filebasediampolicy  # type: ignore[method-assign]


def _finish_deploys() -> None:
    record = ResultsRecorder.record_results

    def record_results(self: Any, results: Any, chalice_stage_name: str, project_dir: str) -> None:
        record(self, results, chalice_stage_name, project_dir)
        stage.finish(results["resources"], chalice_stage_name)

    ResultsRecorder.record_results = record_results  # type: ignore[method-assign]


def _poll_often() -> None:
    """A local AWS is done at once, where botocore would look again after seconds."""
    init = SingleWaiterConfig.__init__

    def init_with_short_delay(self: Any, config: dict[str, Any]) -> None:
        init(self, config | {"delay": _LOCAL_POLL_SECONDS})

    SingleWaiterConfig.__init__ = init_with_short_delay
