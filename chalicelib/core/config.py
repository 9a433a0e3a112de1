"""Configuration of a stage, from environment variables. Each variable is read when it is first used."""

import os
from functools import cache, cached_property

PROJECT = "eduflow"


class ConfigurationError(RuntimeError):
    """A required environment variable is not set, or has an invalid value; the message names it."""


class Settings:
    """The settings of one stage. The names of its AWS resources follow from the stage.

    Each property raises ConfigurationError if its variable is missing or invalid.
    """

    @cached_property
    def stage(self) -> str:
        """The Chalice stage."""
        return _required("STAGE")

    @cached_property
    def public_base_url(self) -> str:
        """The URL of the API for clients if a proxy in front changes it; otherwise empty."""
        return os.environ.get("PUBLIC_BASE_URL", "").rstrip("/")

    @cached_property
    def api_url(self) -> str:
        """The URL of the API before ``/api/``, for links in emails. The deployment sets it for the email worker."""
        return _required("API_URL").rstrip("/")

    @cached_property
    def app_url(self) -> str:
        """The page of the school's app that links in emails lead to; empty for this API's own page."""
        return os.environ.get("APP_URL", "")

    @cached_property
    def is_email_verification_required(self) -> bool:
        """Whether only students with a verified email address may enroll."""
        return _bool("REQUIRE_VERIFIED_EMAIL", "false")

    @cached_property
    def mail_from(self) -> str:
        """The sender of all emails."""
        return _required("MAIL_FROM")

    @cached_property
    def enrollment_shards(self) -> int:
        """Partitions of each index of enrollments and pending emails. A lower number makes rows unreachable."""
        return _positive_integer("ENROLLMENT_SHARDS", "1")

    @cached_property
    def email_reports(self) -> bool:
        """Whether the admins receive each daily report by email."""
        return _bool("EMAIL_REPORTS", "false")

    @cached_property
    def is_instructor_registration_open(self) -> bool:
        """Whether anyone may register as an instructor. Otherwise admins grant the role."""
        return _choice("INSTRUCTOR_REGISTRATION", ("open", "closed"), "open") == "open"

    @cached_property
    def failed_logins_per_account(self) -> int:
        """Failed passwords of an account in 15 minutes."""
        return _positive_integer("FAILED_LOGINS_PER_ACCOUNT", "10")

    @cached_property
    def failed_logins_per_address(self) -> int:
        """Failed passwords from a client address in 15 minutes; a school shares one address."""
        return _positive_integer("FAILED_LOGINS_PER_ADDRESS", "300")

    @cached_property
    def logins_per_account(self) -> int:
        """Successful logins of an account in 15 minutes."""
        return _positive_integer("LOGINS_PER_ACCOUNT", "60")

    @cached_property
    def registrations_per_address(self) -> int:
        """Registrations from a client address in an hour."""
        return _positive_integer("REGISTRATIONS_PER_ADDRESS", "300")

    @cached_property
    def password_resets_per_account(self) -> int:
        """Emails to reset the password of an account in an hour."""
        return _positive_integer("PASSWORD_RESETS_PER_ACCOUNT", "5")

    @cached_property
    def password_resets_per_address(self) -> int:
        """Requests to reset a password from a client address in 15 minutes."""
        return _positive_integer("PASSWORD_RESETS_PER_ADDRESS", "30")

    @cached_property
    def email_changes_per_account(self) -> int:
        """Changes of the email address of an account by its user in a day."""
        return _positive_integer("EMAIL_CHANGES_PER_ACCOUNT", "5")

    @cached_property
    def enrollments_per_student(self) -> int:
        """Enrollments of a student in an hour."""
        return _positive_integer("ENROLLMENTS_PER_STUDENT", "60")

    @cached_property
    def reenrollments_per_course(self) -> int:
        """Enrollments of a student in a course that they left, in a day."""
        return _positive_integer("REENROLLMENTS_PER_COURSE", "3")

    @cached_property
    def audit_days(self) -> int:
        """How long new entries of the audit log are kept."""
        return _positive_integer("AUDIT_DAYS", "400")

    @cached_property
    def cache_url(self) -> str:
        """The Valkey that caches course reads, ``valkey://`` or ``valkeys://`` (TLS); empty for none."""
        return os.environ.get("CACHE_URL", "") if _bool("ENABLE_CACHE", "true") else ""

    @property
    def signing_keys_secret(self) -> str:
        """The Secrets Manager ID of the keys that sign tokens."""
        return f"{PROJECT}/{self.stage}/signing-keys"

    def resource_name(self, name: str) -> str:
        """Return the full name of this stage's table or queue ``name``."""
        return f"{PROJECT}-{name}-{self.stage}"


@cache
def settings() -> Settings:
    """Return the settings of this process."""
    return Settings()


def _required(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ConfigurationError(f"The environment variable {name} is not set (see .chalice/config.json).")
    return value


def _bool(name: str, default: str) -> bool:
    return _choice(name, ("true", "false"), default) == "true"


def _choice(name: str, values: tuple[str, ...], default: str) -> str:
    value = os.environ.get(name, default).lower()
    if value not in values:
        raise ConfigurationError(f"The environment variable {name} is {value!r}: it must be {' or '.join(values)}.")
    return value


def _positive_integer(name: str, default: str) -> int:
    value = os.environ.get(name, default)
    if not value.isdigit() or int(value) < 1:
        raise ConfigurationError(f"The environment variable {name} is {value!r}: it must be a number from 1.")
    return int(value)
