"""The number of active admins, of whom there is always at least one, in the table of the users."""

from pynamodb.attributes import NumberAttribute, UnicodeAttribute

from chalicelib.models.base import Table, TableMeta, Transaction

ACTIVE_ADMINS_ID = "#active-admins"  # not a valid ID of a user


class ActiveAdmins(Table):
    """The number of active admins: one row, in the transaction of every change of that number."""

    class Meta(TableMeta):
        name = "users"

    id = UnicodeAttribute(hash_key=True, default=ACTIVE_ADMINS_ID)
    number = NumberAttribute(default=0)


def count_admins(transaction: Transaction, change: int) -> None:
    """Add a change of the number to a transaction; the condition that one remains has the label "last admin"."""
    if change < 0:
        others = ActiveAdmins.number > 1
        transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(-1)], others, label="last admin")
    elif change > 0:
        transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(1)])
