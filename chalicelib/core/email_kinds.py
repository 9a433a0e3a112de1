"""The kinds of emails, and the preferences by which users stop some of them."""

from enum import StrEnum


class EmailKind(StrEnum):
    """What an email is about. It selects the template."""

    ENROLLMENT = "enrollment"
    PLACE_AVAILABLE = "place_available"
    VERIFICATION = "verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    EMAIL_CHANGED = "email_changed"
    REPORT = "report"


ENROLLMENT_KINDS = (EmailKind.ENROLLMENT, EmailKind.PLACE_AVAILABLE)  # both are about the row of an enrollment


class EmailPreference(StrEnum):
    """What users can unsubscribe from. Emails about the account itself are not among these."""

    ENROLLMENT = "enrollment"
    WAITLIST = "waitlist"
    COMPLETION = "completion"
    REPORTS = "reports"


PREFERENCE_OF = {
    EmailKind.ENROLLMENT: EmailPreference.ENROLLMENT,
    EmailKind.PLACE_AVAILABLE: EmailPreference.WAITLIST,
    EmailKind.REPORT: EmailPreference.REPORTS,
}
