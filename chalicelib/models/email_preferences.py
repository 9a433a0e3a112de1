"""Email preferences: attributes of the user's row."""

from collections.abc import Callable, Set
from typing import ClassVar, Self

from pynamodb.attributes import BooleanAttribute, UnicodeAttribute
from pynamodb.expressions.condition import Condition
from pynamodb.expressions.update import Action
from pynamodb.models import Model

from chalicelib.core import ids
from chalicelib.core.email_kinds import EmailPreference
from chalicelib.models.base import StaleRead, try_conditional


class EmailPreferences(Model):
    """The email preferences of a user, and the secret of the unsubscribe links.

    One attribute for each preference, instead of a set: DynamoDB rejects ADD and DELETE of one attribute in the same
    update, and concurrent changes of different preferences must not undo each other.
    """

    is_enrollment_unwanted = BooleanAttribute(null=True)
    is_waitlist_unwanted = BooleanAttribute(null=True)
    is_completion_unwanted = BooleanAttribute(null=True)
    is_reports_unwanted = BooleanAttribute(null=True)
    unsubscribe_secret = UnicodeAttribute(null=True)  # created with the first link

    EMAIL_ATTRIBUTES = (*(f"is_{preference}_unwanted" for preference in EmailPreference), "unsubscribe_secret")
    exists_condition: ClassVar[Callable[[], Condition]]

    @property
    def unwanted_emails(self) -> frozenset[str]:
        """The names of the preferences that the user stopped."""
        return frozenset(name for name in EmailPreference if getattr(self, f"is_{name}_unwanted"))

    @property
    def email_preferences(self) -> dict[str, bool]:
        """Whether the user wants the emails of each preference."""
        return {name: name not in self.unwanted_emails for name in EmailPreference}

    def ensure_unsubscribe_secret(self) -> str:
        """Return the secret of the user's unsubscribe links; create it first if there is none.

        Of concurrent calls, all return the same secret. The other attributes become those of the stored row, too.

        Raises:
            StaleRead: The account was erased after this row was read.
        """
        if not self.unsubscribe_secret:
            secret = type(self).unsubscribe_secret
            actions: list[Action] = [secret.set(secret | ids.new_secret())]  # a stored one stays
            if not try_conditional(lambda: self.update(actions, condition=type(self).exists_condition())):
                raise StaleRead
        return str(self.unsubscribe_secret)

    @classmethod
    def set_email_preferences(
        cls, user_id: str, unwanted: Set[str], wanted: Set[str], *, secret: str | None = None
    ) -> Self | None:
        """Stop some emails and resume others, named as in EmailPreference, and return the user.

        Return None, and change nothing, if the user was erased, or ``secret`` is not that of their unsubscribe links.
        """
        user, condition = cls(user_id), cls.exists_condition()
        if secret is not None:
            condition &= cls.unsubscribe_secret == secret
        actions: list[Action] = [getattr(cls, f"is_{name}_unwanted").set(True) for name in sorted(unwanted)]
        actions += [getattr(cls, f"is_{name}_unwanted").remove() for name in sorted(wanted)]
        return user if try_conditional(lambda: user.update(actions, condition=condition)) else None
