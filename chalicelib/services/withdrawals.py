"""The end of enrollments and waiting entries: by their students, by admins, and with an account or a course."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from chalicelib.adapters import sqs
from chalicelib.core import clock
from chalicelib.core.audit import Action, Actor
from chalicelib.core.caller import Caller
from chalicelib.models import places
from chalicelib.models.base import ConditionFailed, Transaction
from chalicelib.models.enrollments import MAX_DELETE_BATCH_SIZE, Enrollment
from chalicelib.models.throttles import Throttle
from chalicelib.models.users import User
from chalicelib.services import audit, rate_limits

ExtendFor = Callable[[Enrollment, Transaction], None]  # adds items to the transaction that deletes a row


def end(caller: Caller, enrollment: Enrollment) -> bool:
    """Delete an enrollment or a waiting entry, and return whether it existed.

    Count it for the limit of enrolling again, or record that an admin ended it.
    """
    withdrawals = rate_limits.withdrawals_from(enrollment.student, enrollment.course)

    def extend(row: Enrollment, transaction: Transaction) -> None:
        if caller.id == row.student:
            Throttle.add_event(transaction, withdrawals, int(time.time()))
        else:
            action = Action.WAITLIST_ENTRY_DELETED if row.is_waiting else Action.ENROLLMENT_ENDED
            audit.entry(Actor.of(caller), action, row.id).add_to(transaction)

    while True:
        try:
            return bool(_delete([enrollment], extend))
        except ConditionFailed:  # the window was over
            rate_limits.current_window(withdrawals, int(time.time()))


class StudentActive(ConditionFailed):
    """The student whose enrollments were to be deleted for inactivity became active."""


def delete_in_batches(enrollments: Iterable[Enrollment], inactive_student: User | None = None) -> Iterator[int]:
    """Delete enrollments and waiting entries in batches, and yield how many each one deleted.

    With ``inactive_student``, delete them only while the student is inactive.

    Raises:
        StudentActive: The student became active.
    """

    def extend(_: Enrollment, transaction: Transaction) -> None:
        if inactive_student:
            inactive_student.check_still_inactive(transaction, label="student")

    remaining = iter(enrollments)
    while batch := [*islice(remaining, MAX_DELETE_BATCH_SIZE)]:
        try:
            deleted = _delete(batch, extend)
        except ConditionFailed as error:
            raise StudentActive(error.failed) from error
        yield deleted


def _delete(batch: Sequence[Enrollment], extend: ExtendFor) -> int:
    """Delete a batch, and return how many existed: in one transaction, and in one for each that has a place number."""
    others = [row for row in batch if not row.place_number]
    deleted = 0
    if others:
        deleted = Enrollment.delete_batch(others, clock.timestamp(), partial(extend, others[0]))
    return deleted + sum(_delete_and_free(row, extend) for row in batch if row.place_number)


def _delete_and_free(enrollment: Enrollment, extend: ExtendFor) -> bool:
    """Delete an enrollment or a waiting entry, also one that became an enrollment, and give its place on."""
    row: Enrollment | None = enrollment
    while row:
        if places.delete(row, clock.timestamp(), partial(extend, row)):
            sqs.send(sqs.WAITLIST, sqs.waitlist_message(row.course))
            return True
        row = Enrollment.find(row.id)
    return False
