"""Domain errors: failures that the caller of the API caused.

DomainError
├── InvalidInput          the input violates a rule; names the fields
├── NotAuthenticated      the token is missing or invalid
├── Forbidden             the caller may see the resource, but not do this
├── NotFound              the resource does not exist, or the caller may not know that it does
├── Conflict              the resource exists already, or its state does not allow this
├── CreatedAndDeleted     an earlier request with the same key created the resource, which was deleted since
├── KeyReused             the key of an earlier request came with another body
├── PreconditionFailed    the resource is not in the version that the caller expects
├── RetryLater            the request was not carried out; a later retry helps
│   ├── WriteContention       concurrent writes to the same resource
│   ├── Throttled             the database or a queue takes no more requests at present
│   ├── TooManyAttempts       a rate limit is reached
│   └── RequestInProgress     another request with the same key is in progress
├── PayloadTooLarge       the body exceeds the limit
└── UnsupportedMediaType  the body is not JSON
"""

from typing import NamedTuple, Self


class FieldError(NamedTuple):
    """The violation of a rule by one field: a machine-readable code and a message."""

    field: str
    code: str
    message: str


class DomainError(Exception):
    """Base of all failures that the caller caused."""

    def __init__(self, detail: str, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class InvalidInput(DomainError):
    """The input violates a rule."""

    @classmethod
    def for_field(cls, field: str, code: str, message: str) -> Self:
        """Return the error of a single field."""
        return cls("The input is invalid.", (FieldError(field, code, message),))


class NotAuthenticated(DomainError):
    """The token is missing or invalid; ``is_token_invalid`` if a token was sent."""

    def __init__(self, detail: str, *, is_token_invalid: bool = False) -> None:
        super().__init__(detail)
        self.is_token_invalid = is_token_invalid

    @classmethod
    def outdated(cls) -> Self:
        """Return the error of a token whose user was erased or deactivated, or has another role now."""
        return cls("The account of this token was changed or erased. Log in again.", is_token_invalid=True)


class Forbidden(DomainError):
    """The caller may see the resource, but not do this."""


class NotFound(DomainError):
    """The resource does not exist, or the caller may not know that it does."""


class Conflict(DomainError):
    """The resource exists already, or its state does not allow this."""

    @classmethod
    def for_field(cls, field: str, code: str, message: str) -> Self:
        """Return the error of a state that a program can recognise by its code."""
        return cls(message, (FieldError(field, code, message),))


class CreatedAndDeleted(DomainError):
    """An earlier request with the same key created the resource, which was deleted since, or hidden from the caller."""

    def __init__(self) -> None:
        super().__init__("The resource that was created with this Idempotency-Key does not exist any more.")


class KeyReused(DomainError):
    """The key of an earlier request came with another body."""

    def __init__(self) -> None:
        message = "This key was used with another body."
        super().__init__(message, (FieldError("Idempotency-Key", "key_reused", message),))


class PreconditionFailed(DomainError):
    """The resource is not in the version that the caller expects."""


class RetryLater(DomainError):
    """The request was not carried out; ``retry_after`` is in seconds."""

    def __init__(self, detail: str, retry_after: int, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail, fields)
        self.retry_after = retry_after


class WriteContention(RetryLater):
    """Concurrent writes to the same resource prevented this one."""

    def __init__(self) -> None:
        super().__init__("The resource is being updated concurrently. Retry shortly.", 1)


class Throttled(RetryLater):
    """The database or a queue takes no more requests at present."""

    def __init__(self) -> None:
        super().__init__("The service receives too many requests at present. Retry shortly.", 2)


class TooManyAttempts(RetryLater):
    """A rate limit is reached."""


class RequestInProgress(RetryLater):
    """Another request with the same key is in progress."""

    def __init__(self) -> None:
        message = "A request with this key is in progress. Retry shortly."
        super().__init__(message, 1, (FieldError("Idempotency-Key", "in_progress", message),))


class PayloadTooLarge(DomainError):
    """The body exceeds the limit."""


class UnsupportedMediaType(DomainError):
    """The body is not JSON."""
