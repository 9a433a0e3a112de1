"""What a stage sets, read once from the environment."""

import os
from dataclasses import dataclass
from functools import cache

PROJECT = "eduflow"


class MissingSetting(RuntimeError):
    """A required environment variable is not set; the message names it."""


@dataclass(frozen=True)
class Settings:
    """The settings of one stage; the names of its AWS resources follow from the stage."""

    stage: str
    public_base_url: str
    """Where clients reach the API when that is not what the request says (a proxy in front); else empty."""
    mail_from: str
    enrollment_shards: int
    """Partitions of each enrollment index; never lower it, or rows become unreachable."""
    mail_reports: bool
    """Whether the admins get each daily report by mail."""
    cache_url: str
    """The Valkey that course reads are cached in, ``valkey://`` or ``valkeys://`` (TLS); empty for none."""

    def resource(self, name: str) -> str:
        """The name of this stage's table, queue or function called ``name``."""
        return f"{PROJECT}-{name}-{self.stage}"

    @property
    def signing_keys_secret(self) -> str:
        """The Secrets Manager id of the keys that sign tokens."""
        return f"{PROJECT}/{self.stage}/signing-keys"


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise MissingSetting(f"environment variable {name} is not set (see .chalice/config.json)")
    return value


def _flag(name: str, default: str) -> bool:
    value = os.environ.get(name, default).lower()
    if value not in ("true", "false"):
        raise MissingSetting(f"environment variable {name} is neither true nor false, but {value!r}")
    return value == "true"


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises MissingSetting for a required variable that is absent.
    """
    return Settings(
        stage=_required("STAGE"),
        public_base_url=os.environ.get("PUBLIC_BASE_URL", "").rstrip("/"),
        mail_from=_required("MAIL_FROM"),
        enrollment_shards=int(os.environ.get("ENROLLMENT_SHARDS", "1")),
        mail_reports=_flag("MAIL_REPORTS", "false"),
        cache_url=os.environ.get("CACHE_URL", "") if _flag("ENABLE_CACHE", "true") else "",
    )
