"""``python -m benchmarks.costs``: the costs on AWS, per million requests and per idle month.

PRICES are the public list prices of us-east-1, without free tiers, as they were in PRICED: look them up
before you rely on them. What a request takes
of DynamoDB, SQS and the cache is counted by tests (tests/unit/handlers/test_cached_reads.py and others); its
milliseconds are estimates for 1 GB of memory, to be replaced by those of your dashboard.
"""

from dataclasses import dataclass

PRICED = "2025"
HOURS = 730
MILLION = 1_000_000

PRICES = {
    "API Gateway, a million requests": 3.50,
    "Lambda, a million invocations": 0.20,
    "Lambda, a GB-second": 0.0000166667,
    "DynamoDB, a million read units": 0.125,
    "DynamoDB, a million write units": 0.625,
    "SQS, a million requests": 0.40,
    "SES, a thousand mails": 0.10,
    "CloudWatch Logs, a GB taken in": 0.50,
    "ElastiCache Serverless, a GB-hour": 0.084,
    "ElastiCache Serverless, a million ECPUs": 0.0023,
    "VPC interface endpoint, an hour and zone": 0.01,
    "API Gateway stage cache of 0.5 GB, an hour": 0.02,
    "Secrets Manager, a secret and month": 0.40,
    "CloudWatch, an alarm and month": 0.10,
    "CloudWatch, a custom metric and month": 0.30,
}

CACHE_GB = 0.1  # the least that ElastiCache Serverless for Valkey bills
ENDPOINTS, ZONES = 2, 2
ALARMS = 88
METRICS = 23
QUEUES = 3
# What a hit moves at most, with its command: courses with descriptions, and lessons with contents, of 600 characters.
COURSE_KB, LIST_KB, LESSONS_KB = 2, 8, 8
ECPU_SOURCE = "https://aws.amazon.com/elasticache/pricing/"
LOG_BYTES = 900
"""Log lines of one request: the function's, Lambda's three, API Gateway's."""

COUNTER_BYTES = 100
"""The counters of a course with a capacity, all of which the hourly cleanup scans."""

ENTRY_WRITES = 4
"""Write units of an entry of the audit log: twice one in the transaction of its act, and one for each index."""
AUDIT_SHARDS = 4


@dataclass(frozen=True)
class Kind:
    """The resources that one request uses."""

    name: str
    milliseconds: int
    reads: float = 0
    """Read units: 1 for a consistent read of 4 KB, half of that for others."""
    writes: float = 0
    """Write units: 1 for 1 KB, one more for each index that changes, twice in a transaction."""
    messages: float = 0
    mails: float = 0
    cached: float = 0
    """ECPUs: 1 for a command, and 1 for each further KB that it moves (ECPU_SOURCE)."""
    is_http: bool = True

    def per_million(self) -> float:
        """US dollars per million requests."""
        front = PRICES["API Gateway, a million requests"] if self.is_http else 0
        return (
            front
            + PRICES["Lambda, a million invocations"]
            + MILLION * self.milliseconds / 1000 * PRICES["Lambda, a GB-second"]
            + self.reads * PRICES["DynamoDB, a million read units"]
            + self.writes * PRICES["DynamoDB, a million write units"]
            + self.messages * PRICES["SQS, a million requests"]
            + self.mails * MILLION / 1000 * PRICES["SES, a thousand mails"]
            + self.cached * PRICES["ElastiCache Serverless, a million ECPUs"]
            + MILLION * LOG_BYTES / 1e9 * PRICES["CloudWatch Logs, a GB taken in"]
        )


KINDS = [
    Kind("course, from the cache", 10, cached=2),
    Kind("course, from the database", 14, reads=1, cached=5),
    Kind("list of 20 courses, from the cache", 14, cached=1 + LIST_KB),
    Kind("list of 20 courses, from the database", 30, reads=22, cached=4 + LIST_KB),
    Kind("list of one's enrollments", 14, reads=1),
    # Three reservations and their results. A transaction costs twice the writes: session, limit, and a condition.
    Kind("login", 120, reads=4, writes=12),
    # A transaction costs twice the writes: the row, the hourly limit, and two conditions. And four indexes.
    Kind("enrolling", 22, reads=1, writes=12, messages=1, cached=2),
    # In addition, the idempotency record is saved and completed. A repeated request fails to save it, and reads.
    Kind("enrolling with an Idempotency-Key", 28, reads=1, writes=14, messages=1, cached=2),
    Kind("enrolling again with the same key", 14, reads=1, writes=1),
    # Writes by `python -m benchmarks.places`. In addition to enrolling: pair and account, with both limits, are read
    # first, then the number is drawn, and its row is in the transaction. A row that does not exist is a read unit, too.
    Kind("enrolling in a course with a capacity", 30, reads=5, writes=15, messages=1, cached=2),
    Kind("joining a waitlist", 28, reads=5, writes=11, cached=2),  # in no index; numbers before it are settled
    Kind("request to enroll in a full course", 18, reads=5, writes=1, cached=2),
    Kind("leaving a course", 20, reads=1, writes=12),
    Kind("leaving a course with a capacity", 24, reads=2, writes=16, messages=1),
    Kind("leaving a waitlist", 22, reads=2, writes=8, messages=1),
    # One message each: counters, course, places, and the counters again. More students of a message: 5 writes each.
    Kind("settlement that enrolls a student", 45, reads=6, writes=9, messages=3, is_http=False),
    Kind("settlement that enrolls no student", 30, reads=5, writes=1, messages=2, is_http=False),
    Kind("email of an enrollment (ten in a batch)", 60, reads=4, writes=4, messages=0.2, mails=1, is_http=False),
    # Limit; a transaction of two identities, the user and the pending email; and two indexes.
    Kind("registration", 120, reads=1, writes=11, messages=1),
    Kind("email to verify an address (ten in a batch)", 60, reads=3, writes=5, messages=0.2, mails=1, is_http=False),
    Kind("request to reset a password", 15, reads=1, writes=1, messages=1),
    Kind("email to reset a password (ten in a batch)", 60, reads=4, writes=10, messages=0.2, mails=1, is_http=False),
    # One window of failed logins is lifted. The entry of the audit log is among the writes, as in the next ones.
    Kind("reset of a password", 120, reads=6, writes=11 + ENTRY_WRITES, messages=1),
    Kind("verification of an email address", 14, reads=2, writes=6),
    Kind("a course changed", 40, reads=1, writes=30, cached=6),
    Kind("a course changed by an admin", 40, reads=1, writes=30 + ENTRY_WRITES, cached=6),
    Kind("role of a user changed", 20, reads=3, writes=4 + ENTRY_WRITES),
    Kind("enrollment ended by an admin", 20, reads=1, writes=9 + ENTRY_WRITES),
    Kind("page of the audit log", 20, reads=2 + AUDIT_SHARDS * 3),  # 20 entries of 400 bytes from each shard
    Kind("page of the audit log of one user", 20, reads=2 + 1.5),
    Kind("email preferences changed", 14, reads=2, writes=1),
    Kind("unsubscribing by the link in an email", 10, writes=1),
]


# Write units of acts without their entries. Those of one window or course vary with its size.
# Measured by `python -m benchmarks.audited_acts`.
AUDITED_ACTS = {
    "role changed: user, index": 4,
    "activation changed: user, two indexes": 4,
    "email address changed by an admin: two identities, user, index, two pending emails": 13,
    "account erased: two identities, user, two indexes, two entries of the ledger": 12,
    "password changed: user, pending email, three limits of attempts": 11,
    "password reset: ticket, user, pending email, a limit": 9,
    "admin created: two identities, user, index, number of admins": 9,
    "account unlocked: one window (1 outside of a transaction)": 2,
    "course changed by an admin: course, listings, keywords of a short title": 22,
    "lesson changed by an admin: lesson, condition": 4,
    "enrollment ended by an admin: enrollment, indexes, two entries of the ledger": 10,
}

BY_NAME = {kind.name: kind for kind in KINDS}


def idle_month(cache: bool = False, stage_cache: bool = False, alarms: bool = False) -> dict[str, float]:
    """US dollars of a month without requests, by service."""
    parts = {"signing keys (Secrets Manager)": PRICES["Secrets Manager, a secret and month"]}
    runs = 2 * HOURS  # the two hourly functions, a second each
    parts["hourly report and cleanup"] = runs * PRICES["Lambda, a GB-second"]
    polls = QUEUES * 5 * HOURS * 3600 / 20  # Lambda looks into each queue, five times over, each 20 seconds
    parts["polling three queues"] = polls / MILLION * PRICES["SQS, a million requests"]
    if cache:
        parts["Valkey, minimum size"] = CACHE_GB * HOURS * PRICES["ElastiCache Serverless, a GB-hour"]
        parts["VPC endpoints"] = ENDPOINTS * ZONES * HOURS * PRICES["VPC interface endpoint, an hour and zone"]
    if stage_cache:
        parts["stage cache of 0.5 GB"] = HOURS * PRICES["API Gateway stage cache of 0.5 GB, an hour"]
    if alarms:
        parts["alarms"] = ALARMS * PRICES["CloudWatch, an alarm and month"]
        parts["custom metrics"] = METRICS * PRICES["CloudWatch, a custom metric and month"]
    return parts


def main() -> None:
    """Print the tables, as Markdown."""
    print(f"Prices of us-east-1, {PRICED}, in US dollars.\n")
    print("| a million of | USD |\n|---|---:|")
    for kind in KINDS:
        print(f"| {kind.name} | {kind.per_million():,.2f} |")
    price = ENTRY_WRITES * PRICES["DynamoDB, a million write units"]
    print("\n| act in the audit log | write units without its entry | with it |\n|---|---:|---:|")
    for name, writes in AUDITED_ACTS.items():
        print(f"| {name} | {writes} | {writes + ENTRY_WRITES} |")
    print(f"\nA million entries cost ${price:.2f}. Other acts of the audit log cost as much more.")
    scan = HOURS * 1000 * COUNTER_BYTES / 4096 / 2 / MILLION * PRICES["DynamoDB, a million read units"]
    print(f"\nThe scan of the hourly cleanup costs ${scan:.3f} a month for 1,000 courses with a capacity.")
    ecpus = PRICES["ElastiCache Serverless, a million ECPUs"]
    print("\n| a million hits of the cache | KB | ECPUs of each | USD |\n|---|---:|---:|---:|")
    sizes = {"a course": COURSE_KB, "a list of 20 courses": LIST_KB, "20 lessons of a course": LESSONS_KB}
    for name, size in sizes.items():
        print(f"| {name} | {size} | {1 + size} | {(1 + size) * ecpus:.3f} |")
    print(f"\nAn ECPU is a simple command that moves up to 1 KB; more KB take more in proportion ({ECPU_SOURCE}).")
    print("\n| an idle month | USD | of which |\n|---|---:|---|")
    for name, parts in (
        ("default", idle_month()),
        ("with alarms", idle_month(alarms=True)),
        ("with alarms and Valkey", idle_month(alarms=True, cache=True)),
        ("with alarms, Valkey and stage cache", idle_month(alarms=True, cache=True, stage_cache=True)),
    ):
        shown = ", ".join(f"{part} {cost:.2f}" for part, cost in parts.items())
        print(f"| {name} | {sum(parts.values()):,.2f} | {shown} |")
    hits = KINDS[0].per_million() - KINDS[1].per_million()
    saved = -hits / MILLION
    monthly = sum(idle_month(cache=True).values()) - sum(idle_month().values())
    reads = monthly / saved / MILLION
    print(f"\nFor courses alone, Valkey saves more than it costs from {reads:,.0f} million reads a month on.")
    print("Its purpose is latency, and the database's limits in an opening hour.")


if __name__ == "__main__":
    main()
