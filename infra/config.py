"""The stages, as .chalice/config.json defines them: the environment of their functions and their infrastructure.

``parameters``, next to Chalice's own keys, select the infrastructure of a stage:

- ``cache``: Valkey and its VPC.
- ``zones``: the two availability zones of that VPC; chosen at the first deploy if empty.
- ``alarm_email``: alarms, dashboard and budget, and the address that they notify.
- ``monthly_budget``: US dollars, of the whole account.
- ``permissions_boundary``: the ARN of the managed policy that bounds the roles of the functions.
- ``domain_name``, ``certificate_arn``: a custom domain of the API (docs/deploying.md).
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / ".chalice" / "config.json"
LOCAL = "local"  # the stage of the embedded AWS, which has its own Valkey and runs functions on this machine
LOCALSTACK = "localstack"  # the stage of localstack-compose.yml
PRODUCTION = "prod"  # the stage whose tables have deletion protection

# Chalice can create a custom domain, but it cannot find one again that another machine deployed.
_UNSUPPORTED_KEYS = ("api_gateway_custom_domain", "websocket_api_custom_domain")


class OperatorError(RuntimeError):
    """A command cannot be carried out; the message says why and what to do."""


class UnknownStageError(OperatorError):
    """The stage does not exist; the message lists those that do."""


class StageConfigError(OperatorError):
    """.chalice/config.json contradicts itself or needs something that does not exist."""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    name: str
    variables: dict[str, str]  # the environment of all its functions
    cache: bool = False
    zones: tuple[str, ...] = ()
    alarm_email: str = ""
    monthly_budget: int = 50
    permissions_boundary: str = ""
    domain_name: str = ""
    certificate_arn: str = ""

    @property
    def sender(self) -> str:
        """The email address that emails are sent from."""
        return self.variables["MAIL_FROM"]


def load_stage(name: str, config: Path = CONFIG) -> Stage:
    """Return the stage of this name.

    Raises UnknownStageError, StageConfigError.
    """
    document = json.loads(config.read_text(encoding="utf-8"))
    if name not in document["stages"]:
        raise UnknownStageError(
            f"There is no stage {name!r}: .chalice/config.json has {', '.join(document['stages'])}."
        )
    own = document["stages"][name]
    for key in _UNSUPPORTED_KEYS:
        if key in document or key in own:
            raise StageConfigError(f"{key} is not supported: set domain_name and certificate_arn in 'parameters'.")
    parameters = own.get("parameters", {})
    stage = Stage(
        name,
        variables=document["environment_variables"] | own["environment_variables"],
        **parameters | {"zones": tuple(parameters.get("zones", ()))},
    )
    if bool(stage.domain_name) != bool(stage.certificate_arn):
        raise StageConfigError(
            f"Stage {name}: domain_name and certificate_arn belong together; one of them is missing."
        )
    if stage.zones and len(stage.zones) != 2:
        raise StageConfigError(f"Stage {name}: zones are two availability zones, not {len(stage.zones)}.")
    if stage.domain_name:
        stage.variables.setdefault("PUBLIC_BASE_URL", f"https://{stage.domain_name}")
    return stage


def configure_aws_endpoint(stage_name: str) -> None:
    """Point this process's AWS clients to LocalStack if the stage is LocalStack's: never to an account by mistake."""
    if stage_name == LOCALSTACK:
        port = os.environ.get("AWS_PORT", "4566")
        os.environ.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")  # noqa: S106  LocalStack's own
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")


def require_local_endpoint(stage_name: str) -> None:
    """Reject the stage of `make run` unless AWS_ENDPOINT_URL points to this machine: it never belongs to an account.

    Raises OperatorError.
    """
    host = urlsplit(os.environ.get("AWS_ENDPOINT_URL", "")).hostname
    if stage_name == LOCAL and host not in ("127.0.0.1", "localhost"):
        raise OperatorError("The stage local is the one of `make run`; choose another one: `make deploy STAGE=dev`.")


def host_variables(stage: Stage) -> dict[str, str]:
    """Return the stage's environment for commands on this machine.

    The name of LocalStack's Valkey resolves in its containers only; localstack-compose.yml publishes its port.
    A Valkey in a VPC cannot be reached at all, so that no cache is configured there.
    """
    if stage.name == LOCALSTACK:
        return stage.variables | {"CACHE_URL": f"valkey://127.0.0.1:{os.environ.get('VALKEY_PORT', '6379')}"}
    return stage.variables
