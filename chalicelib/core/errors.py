"""What can go wrong for a caller, in the words of the domain.

EduFlowError
├── Invalid             the input breaks a rule; names the fields
├── NotAuthenticated    no token, or not a good one
├── Forbidden           the caller may know the thing, but not do this
├── NotFound            it does not exist, or the caller may not know that it does
├── Conflict            it exists already, or its state forbids this
├── PreconditionFailed  it is not in the state that the caller expects
├── Busy                too many write the same thing just now; trying again helps
├── Throttled           too many attempts failed; trying again helps later
├── TooLarge            the body is larger than the API takes
└── UnsupportedMedia    the body is of another media type than JSON
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One field's fault: a machine-readable code and a sentence for people."""

    field: str
    code: str
    message: str


class EduFlowError(Exception):
    """An answer that the caller caused."""

    def __init__(self, detail: str, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fields = fields


class Invalid(EduFlowError):
    """The input breaks a rule."""

    @classmethod
    def field(cls, field: str, code: str, message: str) -> "Invalid":
        """The fault of a single field."""
        return cls("The input is not valid.", (FieldError(field, code, message),))


class NotAuthenticated(EduFlowError):
    """No token, or not a good one."""


class Forbidden(EduFlowError):
    """The caller may know the thing, but not do this to it."""


class NotFound(EduFlowError):
    """It does not exist, or the caller may not know that it does."""


class Conflict(EduFlowError):
    """It exists already, or its state forbids this."""


class PreconditionFailed(EduFlowError):
    """It is not in the state that the caller expects."""


class Busy(EduFlowError):
    """Too many write the same thing just now; trying again helps."""

    retry_after = 1
    """Seconds."""


class Throttled(EduFlowError):
    """Too many attempts failed; trying again helps after ``retry_after`` seconds."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class TooLarge(EduFlowError):
    """The body is larger than the API takes."""


class UnsupportedMedia(EduFlowError):
    """The body is of another media type than JSON."""
