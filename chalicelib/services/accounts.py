"""Accounts: who may have one, and what its owner does with it."""

from datetime import datetime
from typing import Any

from pynamodb.exceptions import UpdateError
from pynamodb.expressions.update import Action
from pynamodb.transactions import TransactWrite

from chalicelib import clock, ids, passwords
from chalicelib.errors import Conflict, FieldError, Invalid, NotAuthenticated
from chalicelib.models import course_lists
from chalicelib.models.base import ConditionFailed, transact
from chalicelib.models.course_lists import CourseListRow
from chalicelib.models.courses import Course
from chalicelib.models.enrollments import Enrollment
from chalicelib.models.identities import Identity
from chalicelib.models.sessions import Session
from chalicelib.models.users import ActiveAdmins, User
from chalicelib.roles import Role
from chalicelib.services import users


def register(username: str, email: str, password: str, role: Role, now: datetime | None = None) -> User:
    """Open an account for a student or an instructor.

    Raises Invalid for a password that breaks a rule, Conflict for a name or address that is taken.
    """
    if role is Role.ADMIN:
        raise Invalid.field("role", "invalid_choice", "Nobody makes themselves an admin.")
    return _open(username, email, password, role, now or clock.now())


def create_admin(username: str, email: str, password: str) -> User:
    """Open an account for an admin; only who operates the stage may call this.

    Raises as `register` does.
    """
    return _open(username, email, password, Role.ADMIN, clock.now())


def profile(user_id: str) -> User:
    """The caller's own account.

    Raises NotAuthenticated when it is gone or switched off since the token was made.
    """
    user = User.find(user_id)
    if user is None or not user.is_active:
        raise NotAuthenticated("The account of this token is gone.")
    return user


def change_email(user_id: str, email: str) -> User:
    """Give the account another email address.

    Raises Conflict for one that is taken, NotAuthenticated as `profile` does.
    """
    profile(user_id)
    return users.change(user_id, {"email": email})


def change_password(user_id: str, current: str, new: str) -> None:
    """Give the account another password, and end every session of it.

    Raises Invalid for a wrong current password, or a new one that breaks a rule.
    """
    user = profile(user_id)
    if not passwords.matches(current, user.password_hash):
        raise Invalid.field("current", "password_incorrect", "This is not your password.")
    _check_password(new, str(user.username), str(user.email), field="new")
    actions: list[Action] = [User.password_hash.set(passwords.hashed(new)), User.auth_version.add(1)]
    try:
        user.update(actions, condition=User.is_there() & (User.auth_version == user.auth_version))
    except UpdateError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        raise Conflict("The account was changed at the same time: try again.") from error


def erase(user_id: str) -> None:
    """Erase the account: names and profile at once, enrollments and sessions by the queue.

    Raises Conflict while it owns published courses, or is the last active admin's.
    """
    profile(user_id)
    users.erase(user_id)


def export(user_id: str) -> dict[str, Any]:
    """All that is held about the account's owner: profile, sessions, courses and enrollments."""
    user = profile(user_id)
    owned = CourseListRow.query(course_lists.by_date(course_lists.owned_by(user.id)), consistent_read=True)
    found = Course.find_all([row.course_id for row in owned])
    return {
        "user": user,
        "sessions": [*Session.query(user.id, consistent_read=True)],
        "courses": [*found.values()],
        "enrollments": [*Enrollment.query(user.id, consistent_read=True)],
    }


def _open(username: str, email: str, password: str, role: Role, now: datetime) -> User:
    _check_password(password, username, email, field="password")
    user_id, date_joined = ids.entity(), clock.rfc3339(now)
    user = User(
        user_id,
        username=username,
        email=email.lower(),
        role=role.value,
        password_hash=passwords.hashed(password),
        date_joined=date_joined,
        position=f"{date_joined}#{user_id}",
    )

    def write(transaction: TransactWrite) -> None:
        transaction.save(Identity.of_username(username, user.id), condition=Identity.name.does_not_exist())
        transaction.save(Identity.of_email(email, user.id), condition=Identity.name.does_not_exist())
        transaction.save(user, condition=User.id.does_not_exist())
        if role is Role.ADMIN:
            transaction.update(ActiveAdmins(), [ActiveAdmins.number.add(1)])

    try:
        transact(write)
    except ConditionFailed as error:
        taken = [("username", "username"), ("email", "email address")]
        fields = tuple(
            FieldError(field, "unique", f"A user with that {name} already exists.")
            for number, (field, name) in enumerate(taken)
            if number in error.failed
        )
        raise Conflict("The account exists already.", fields) from error
    return user


def _check_password(password: str, username: str, email: str, *, field: str) -> None:
    if faults := passwords.faults(password, username=username, email=email, field=field):
        raise Invalid("The password is not good enough.", faults)
