"""``python -m benchmarks.limits``: which limit of AWS or of a setting a growing load reaches first.

The base is a load of 100 requests a second, with the quantities per request of `benchmarks.costs`. DynamoDB's limits
of a partition apply to its busiest key: the list of published courses, the row that says whether the cache is in use,
and the indexes of enrollments.
"""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.costs import BY_NAME, Kind
from infra.chalice.stage_settings import RATE_PER_SECOND

BASE_REQUESTS = 100
HIT_RATIO = 0.75
FACTORS = (10, 100, 10_000)
PER_SECOND = {  # of the base load
    "course": 70.0,
    "list of 20 courses": 20.0,
    "list of one's enrollments": 8.4,
    "login": 1.2,
    "enrolling": 0.2,
    "a course changed": 0.2,
}
CACHED = ("course", "list of 20 courses")
ECPUS_PER_SECOND = 30_000  # infra/templates/cache.yaml; a test compares them
ECPUS, CACHE_STATE = "ElastiCache, ECPUs", "DynamoDB, reads of the row of the cache's state"
MAX_EMAILS_PER_SECOND, MAX_EMAILS_PER_DAY = 14, 50_000  # an account that has left the sandbox; `aws ses get-send-quota`

_AWS = "https://docs.aws.amazon.com/"
_LAMBDA = f"{_AWS}lambda/latest/dg/gettingstarted-limits.html"
_GATEWAY = f"{_AWS}apigateway/latest/developerguide/limits.html"
_PARTITION = f"{_AWS}amazondynamodb/latest/developerguide/bp-partition-key-design.html"
_TABLE = f"{_AWS}amazondynamodb/latest/developerguide/ServiceQuotas.html"
_ELASTICACHE = f"{_AWS}AmazonElastiCache/latest/dg/Scaling.html"
_SES = f"{_AWS}ses/latest/dg/quotas.html"
_SQS = f"{_AWS}AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html"


@dataclass(frozen=True)
class Limit:
    """A limit, the use of it by the base load, and the setting or quota that moves it."""

    name: str
    maximum: float
    use: float
    moved_by: str
    source: str

    @property
    def factor(self) -> float:
        """The multiple of the base load that reaches the limit."""
        return self.maximum / self.use


def limits(hit_ratio: float = HIT_RATIO) -> list[Limit]:
    """Return the limits, the first one that is reached first."""
    concurrency = _sum(lambda kind: kind.milliseconds / 1000, hit_ratio)
    list_misses = PER_SECOND["list of 20 courses"] * (1 - hit_ratio)
    course_reads = PER_SECOND["course"] * (1 - hit_ratio) + 21 * list_misses
    enrolling = PER_SECOND["enrolling"]
    stage = "`RATE_PER_SECOND` in `infra/chalice/stage_settings.py`"
    found = [
        Limit("API Gateway, requests of one method", RATE_PER_SECOND, PER_SECOND["course"], stage, _GATEWAY),
        Limit("API Gateway, requests of the account", 10_000, BASE_REQUESTS, "quota", _GATEWAY),
        Limit("Lambda, concurrent executions", 1000, concurrency, "quota", _LAMBDA),
        Limit(
            ECPUS,
            ECPUS_PER_SECOND,
            _sum(lambda kind: kind.cached, hit_ratio),
            "`ECPUPerSecond` in `infra/templates/cache.yaml`; above it, reads use the database",
            _ELASTICACHE,
        ),
        Limit("DynamoDB, reads of the table `courses`", 40_000, course_reads, "quota", _TABLE),
        Limit(
            "DynamoDB, reads of the partition of published courses",
            3000,
            list_misses,
            "none: the cache's hit ratio, and the stage cache of `/courses-public/`",
            _PARTITION,
        ),
        Limit(
            CACHE_STATE,
            3000,
            concurrency,  # each process reads it once a second
            "`COPY_SECONDS` in `chalicelib/adapters/cache/switch.py`",
            _PARTITION,
        ),
        Limit(
            "DynamoDB, writes of one shard of enrollments",
            1000,
            enrolling,
            "`ENROLLMENT_SHARDS`: 8 in production multiply it by 8",
            _PARTITION,
        ),
        Limit(
            "DynamoDB, writes of the places of one course with a capacity",
            1000,
            2 * enrolling,  # if all enroll in one course: a write in a transaction is two units
            "none",
            _PARTITION,
        ),
        Limit("SES, emails", MAX_EMAILS_PER_SECOND, enrolling, "quota; the queue delays emails", _SES),
        Limit("SES, emails a day", MAX_EMAILS_PER_DAY, 86_400 * enrolling, "quota; the queue delays emails", _SES),
        Limit(
            "SQS, messages in flight",
            120_000,
            enrolling * BY_NAME["email of an enrollment (ten in a batch)"].milliseconds / 1000,
            "quota; the number of calls has no limit",
            _SQS,
        ),
    ]
    return sorted(found, key=lambda limit: limit.factor)


def _sum(quantity: Callable[[Kind], float], hit_ratio: float) -> float:
    """Return a quantity of the base load a second, of hits and misses of the cache."""
    total = 0.0
    for name, number in PER_SECOND.items():
        if name in CACHED:
            hit, miss = BY_NAME[f"{name}, from the cache"], BY_NAME[f"{name}, from the database"]
            total += number * (hit_ratio * quantity(hit) + (1 - hit_ratio) * quantity(miss))
        else:
            total += number * quantity(BY_NAME[name])
    return total


def main() -> None:
    """Print the tables, as Markdown."""
    found = limits()
    without_cache = {limit.name: limit for limit in limits(hit_ratio=0) if limit.name not in (ECPUS, CACHE_STATE)}
    print(f"Base load: {BASE_REQUESTS} requests a second. Hit ratio of the cache: {HIT_RATIO:.0%}.\n")
    print("| Limit, by second unless by day | maximum | base load | reached at | without Valkey | moved by |")
    print("|---|---:|---:|---:|---:|---|")
    for limit in found:
        other = without_cache.get(limit.name)
        numbers = (limit.maximum, limit.use, limit.factor, other.factor if other else None)
        columns = [f"[{limit.name}]({limit.source})", *map(_shown, numbers), limit.moved_by]
        print(f"| {' | '.join(columns)} |")
    print("\n| Load | requests a second | limits that it reaches |\n|---|---:|---|")
    for factor in FACTORS:
        reached = "; ".join(limit.name for limit in found if limit.factor <= factor) or "none"
        print(f"| {factor:,} × | {factor * BASE_REQUESTS:,} | {reached} |")


def _shown(number: float | None) -> str:
    """Return a number with two digits, or all of an integer."""
    if number is None:
        return ""
    return f"{float(f'{number:.2g}'):,g}" if number < 1_000_000 and number != int(number) else f"{number:,.0f}"


if __name__ == "__main__":
    main()
