"""The stages, as .chalice/config.json has them: the environment of their functions, and what they cost.

``parameters`` beside Chalice's own keys says what of the infrastructure a stage has: ``cache``
(a Valkey and its network), ``alarm_email`` (alarms, dashboard and budget, and who is told),
``monthly_budget`` (US dollars), and ``own_sender``, false where another stage of the account has MAIL_FROM verified.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]
CONFIG = PROJECT / ".chalice" / "config.json"
LOCAL = "local"
"""The stage of the local AWS, which has a Valkey of its own and runs functions on this machine."""

PRODUCTION = "prod"
"""The stage whose tables refuse to be deleted."""

LOCALSTACK = "localstack"
"""The stage of localstack-compose.yml."""


class Refused(RuntimeError):
    """What was asked for can't be done; the message says why and what to do."""


class UnknownStage(Refused):
    """There is no such stage; the message names those that there are."""


@dataclass(frozen=True)
class Stage:
    """One stage."""

    name: str
    variables: dict[str, str]
    """The environment of all its functions."""
    cache: bool
    alarm_email: str
    monthly_budget: int
    own_sender: bool = True


def stage(name: str, config: Path = CONFIG) -> Stage:
    """The stage of this name.

    Raises UnknownStage.
    """
    whole = json.loads(config.read_text(encoding="utf-8"))
    if name not in whole["stages"]:
        raise UnknownStage(f"There is no stage {name!r}: .chalice/config.json has {', '.join(whole['stages'])}.")
    own = whole["stages"][name]
    parameters = {"cache": False, "alarm_email": "", "monthly_budget": 50} | own.get("parameters", {})
    return Stage(name, whole["environment_variables"] | own["environment_variables"], **parameters)


def functions() -> list[str]:
    """Chalice's names of all functions."""
    return ["api_handler", *json.loads(CONFIG.read_text(encoding="utf-8"))["lambda_functions"]]


def aim(name: str) -> None:
    """Lead this process's AWS clients to LocalStack, for its stage: never to an account by mistake."""
    if name == LOCALSTACK:
        port = os.environ.get("AWS_PORT", "4566")
        os.environ.setdefault("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test")  # noqa: S106  LocalStack's own
        os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
