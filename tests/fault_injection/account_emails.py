"""Emails about accounts under faults: each is sent once, plus the documented duplicates, and the latest link works."""

import hashlib
import ipaddress
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests

from chalicelib.core.retry_policy import VISIBILITY_TIMEOUT_SECONDS
from tests.fault_injection.email_faults import (
    LAG_HOURS,
    LONGEST,
    MAX_HOURS,
    OUTAGE_HOURS,
    RECORD,
    SEND,
    Kills,
    count_refused_records,
    count_unrecorded_kills,
    on_send,
    refuse_half,
)
from tests.fault_injection.proxy import Call, Fault
from tests.fault_injection.rules import (
    always,
    every,
    indexes_lag,
    is_message,
    of_services,
    ses_and_sqs_down,
    some,
)
from tests.fault_injection.school import EMAILS, WORKER_SECONDS, School, create_students, in_parallel

_LINK = re.compile(r"#(reset|verify)=(\w{16})(\w{26})\b")
_KINDS = {"reset": "password_reset", "verify": "verification"}  # of emails, by the links that they have
_NOTICE = "notice"

Emails = dict[tuple[str, str], list[str]]
"""The secrets in the emails of each user ID and kind, in their order; empty for an email without a link."""


@dataclass
class Row:
    """The result of a run with one fault."""

    fault: str
    requests: int
    emails: int
    duplicates: int
    lost: int
    dead: int
    pending: int
    """Emails that are not recorded as sent or given up although the queue is empty."""
    links: int
    """The users and kinds of links whose email is not given up."""
    working: int
    """Those of which exactly one link works: the one in the latest email."""
    window: int = 0
    """How often SES accepted an email, or SQS a request, without a response or record: the duplicates allowed."""
    poison: int = 0
    """The expected number of dead letters."""
    throttled: int = 0
    """Requests for a new password whose response was 429, because SQS refused the message. They were repeated."""

    @property
    def is_good(self) -> bool:
        is_complete = self.lost == self.pending == 0 and self.dead == self.poison
        return is_complete and self.duplicates <= self.window and self.working == self.links


class AccountEmails:
    """The faults, one method each. Each of the users changes their address and requests a new password."""

    def __init__(self, school: School, number: int) -> None:
        self.school = school
        self.number = number
        self.users = _create_users(number)
        self.throttled = 0
        self.unheard = 0

    def none(self) -> Row:
        """No fault."""
        return self._request_and_count("none")

    def thrice(self) -> Row:
        """Each message is delivered three times."""
        self.school.front.rule = always(Fault.THRICE, is_message)
        return self._request_and_count("every message three times")

    def killed(self) -> Row:
        """The worker is killed before and after each of its steps."""
        steps = [("PutItem", "idempotency"), ("BatchGetItem", "")]
        steps += [("TransactWriteItems", ""), ("PutItem", "tickets"), SEND, RECORD, ("DeleteItem", "account-emails")]
        kills = Kills(steps, rounds=1 + self.number // 400, period=10 if self.number > 130 else 2)
        self.school.aws.rule = kills
        self.school.set_visibility_timeout(EMAILS, WORKER_SECONDS + 3)  # longer than a record is in progress
        row = self._request_and_count("worker killed around each step")
        kills.check_done()
        row.window += count_unrecorded_kills(self.school.aws.met)
        return row

    def ses_fails(self) -> Row:
        """SES rejects a third of the calls."""
        due = every(3)
        return self._with_ses("SES fails for a third", lambda to: Fault.REFUSED if next(due) else None)

    def ses_is_mute(self) -> Row:
        """SES accepts each tenth email without a response, which causes duplicates."""
        due = every(10)
        row = self._with_ses("SES accepts a tenth without a response", lambda to: Fault.LOST if next(due) else None)
        row.window += len(self.school.aws.met)
        return row

    def poison(self) -> list[Row]:
        """SES rejects three addresses, each with two emails, until the dead letters are redriven."""
        bad = self.users[:3]
        addresses = {_new_address(user) for user in bad}
        self.school.aws.rule = on_send(lambda to: Fault.REJECTED if to in addresses else None)
        rejected = self._request_and_count("SES rejects 3 addresses for ever")
        given_up = {(user.id, kind) for user in bad for kind in _KINDS.values()}
        rejected.poison = len(given_up)
        rejected.lost, rejected.links = rejected.lost - len(given_up), rejected.links - len(given_up)
        assert self._given_up() == given_up
        self.school.end_faults()
        redriven = self.school.stack.manage("redrive")
        assert redriven.returncode == 0, redriven.stderr
        rows = [rejected, self._count("the same, redriven")]
        assert self._given_up() == set()
        return rows

    def dynamodb_fails(self) -> Row:
        """DynamoDB rejects a fifth of the worker's calls."""
        self.school.aws.rule = some(5, of_services("dynamodb"), Fault.REFUSED)
        # An email whose record was refused is sent again then.
        self.school.set_visibility_timeout(EMAILS, WORKER_SECONDS + 3)
        row = self._request_and_count("DynamoDB fails for a fifth")
        row.window += count_refused_records(self.school.aws.met)
        return row

    def sqs_refuses(self) -> Row:
        """SQS rejects half of the messages; the users retry, and two concurrent cleanups requeue the rest."""
        self.school.front.rule = refuse_half
        self._request()
        self.school.wait_until_empty(EMAILS, LONGEST)
        self.school.end_faults()
        self.school.clock.advance(hours=1)  # as long ago as the cleanup looks
        cleanups = in_parallel(lambda _: self.school.invoke("cleanup"), range(2))
        assert any(one["AccountEmailsRequeued"] for one in cleanups), cleanups
        return self._count("SQS refuses half, two cleanups at once")

    def outage(self) -> Row:
        """SES is down, and then SQS as well; the cleanup runs each hour of the outage and afterwards.

        Those who request a new password during the outage of SQS get 429, and have to retry after it.
        """
        early, late = self.users[: self.number // 8], self.users[self.number // 8 :]
        self.school.aws.rule = always(Fault.UNREACHABLE, of_services("ses"))
        self._change_addresses(early)
        self._request_resets(early)
        self.school.wait_until_empty(EMAILS, LONGEST)  # each message is delivered five times
        self.school.aws.rule = self.school.front.rule = ses_and_sqs_down
        self._change_addresses(late)
        for _ in range(OUTAGE_HOURS):
            self.school.clean_up_an_hour_later()
        assert not self._emails()
        self.school.end_faults()
        # All may have to wait for a free worker at once.
        self.school.set_visibility_timeout(EMAILS, VISIBILITY_TIMEOUT_SECONDS)
        self._request_resets(late)
        for _ in range(MAX_HOURS):
            self.school.clean_up_an_hour_later()
        return self._count(f"SES and SQS down for {OUTAGE_HOURS} hours")

    def indexes_lag(self) -> Row:
        """SQS rejects half of the messages, and the index of pending emails lags by more than an hour."""
        self.school.lag(hours=LAG_HOURS)
        self.school.aws.rule = indexes_lag
        self.school.front.rule = refuse_half
        self._request()
        self.school.wait_until_empty(EMAILS, LONGEST)
        self.school.front.rule = indexes_lag
        for _ in range(2 * MAX_HOURS):
            self.school.clean_up_an_hour_later()
            self.school.wait_until_empty(EMAILS, LONGEST)
        return self._count("SQS refuses half, indexes lag by 72 minutes")

    def _with_ses(self, name: str, fault_for: Callable[[str], Fault | None]) -> Row:
        self.school.aws.rule = on_send(fault_for)
        return self._request_and_count(name)

    def _request_and_count(self, name: str) -> Row:
        self._request()
        return self._count(name)

    def _request(self) -> None:
        """Let each user change their address, then request a new password: a change voids the links sent before."""
        self._change_addresses(self.users)
        self._request_resets(self.users)

    def _change_addresses(self, changing: list[Any]) -> None:
        from chalicelib.services import users

        in_parallel(lambda user: users.apply_changes(user.id, {"email": _new_address(user)}), changing)

    def _request_resets(self, requesting: list[Any]) -> None:
        self.throttled += sum(in_parallel(_request_reset, requesting))
        # A slow SQS may have accepted the message of a request that was repeated.
        self.unheard = self.throttled - sum(_is_refused_reset(call, fault) for call, fault in self.school.front.met)

    def _count(self, name: str) -> Row:
        self.school.wait_until_empty(EMAILS, LONGEST)
        emails = self._emails()
        expected = [(user.id, kind) for user in self.users for kind in (*_KINDS, _NOTICE)]
        numbers = [len(emails.get(key, [])) for key in expected]
        return Row(
            name,
            requests=len(expected),
            emails=sum(map(len, emails.values())),
            duplicates=sum(max(number - 1, 0) for number in numbers),
            lost=numbers.count(0),
            dead=self.school.count_messages(f"{EMAILS}-dead"),
            pending=self._count_pending(),
            links=len(_KINDS) * len(self.users),
            working=self._count_working(emails),
            window=self.unheard,
            throttled=self.throttled,
        )

    def _emails(self) -> Emails:
        """Return the emails to the users' new addresses that have a link, and those to their old ones that have none.

        All others have the kind "unexpected", and are neither requested nor a duplicate: they are missing elsewhere.
        """
        response = requests.get(f"{self.school.stack.aws_url}/_ministack/ses/messages", timeout=60).json()
        new = {_new_address(user): user.id for user in self.users}
        old = {_old_address(user): user.id for user in self.users}
        emails: Emails = {}
        for mail in (mail for account in response["messages"].values() for mail in account):
            [to] = mail["To"]
            link = _LINK.search(mail["BodyText"])
            if to in new and link and link[2] == new[to]:
                emails.setdefault((new[to], link[1]), []).append(link[3])
            elif to in old or to in new:
                kind = _NOTICE if to in old and not link else "unexpected"
                emails.setdefault((old.get(to) or new[to], kind), []).append("")
        return emails

    def _count_working(self, emails: Emails) -> int:
        """Return how many of the users' links are the only one that works, and that of the latest email.

        A link works if the SHA-256 of its secret is that of the ticket, and the ticket has the user's address.
        """
        rows = self.school.rows("tickets")
        tickets = {(row["id"]["S"], row["email"]["S"]): row["hash"]["S"] for row in rows}
        number = 0
        for user in self.users:
            for kind in _KINDS:
                ticket = tickets.get((f"{kind}#{user.id}", _new_address(user)))
                works = [_sha256(secret) == ticket for secret in emails.get((user.id, kind), [])]
                number += works.count(True) == 1 and works[-1]
        return number

    def _count_pending(self) -> int:
        ids = {user.id for user in self.users}
        rows = self.school.rows("account-emails")
        return sum("email_pending" in row and row["user_id"]["S"] in ids for row in rows)

    def _given_up(self) -> set[tuple[str, str]]:
        """Return the user IDs and kinds of the emails that the operator sees as given up."""
        listing = self.school.stack.manage("emails", "failed")
        assert listing.returncode == 0, listing.stderr
        emails = map(json.loads, listing.stdout.splitlines())
        return {(email["user"], email["kind"]) for email in emails if email["error"] == "MessageRejected"}


FAULTS = [
    "none", "thrice", "killed", "ses_fails", "ses_is_mute", "poison", "dynamodb_fails", "sqs_refuses", "outage",
    "indexes_lag",
]  # fmt: skip


def run(school: School, number: int, fault: str) -> list[Row]:
    """Run one fault, from a state without faults to the next one."""
    school.end_faults()
    school.set_visibility_timeout(EMAILS, 4 if number < 130 else 25)  # as in `emails`, with three emails of each user
    try:
        rows: Row | list[Row] = getattr(AccountEmails(school, number), fault)()
    finally:
        school.end_faults()
        school.set_visibility_timeout(EMAILS, 360)
    return rows if isinstance(rows, list) else [rows]


def _create_users(number: int) -> list[Any]:
    """Create students as rows, who can be found by their usernames."""
    from chalicelib.models.identities import Identity

    users = create_students(number)
    with Identity.batch_write() as batch:
        for user in users:
            batch.save(Identity.of_username(user.username, user.id))
            batch.save(Identity.of_email(_old_address(user), user.id))
    return users


def _request_reset(user: Any) -> int:
    """Request a new password from an address of the user's own, and return how often the response was 429 before."""
    from chalicelib.core.errors import Throttled
    from chalicelib.services import account_recovery

    address = str(ipaddress.IPv4Address(zlib.crc32(user.id.encode())))
    throttled = 0
    while True:
        try:
            account_recovery.request_password_reset(user.username, address)
            return throttled
        except Throttled:
            throttled += 1


def _is_refused_reset(call: Call, fault: Fault) -> bool:
    return fault is Fault.REJECTED and json.loads(call.body["MessageBody"])["kind"] == _KINDS["reset"]


def _old_address(user: Any) -> str:
    return f"{user.username}@example.org"


def _new_address(user: Any) -> str:
    return f"new-{user.username}@example.org"


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
