"""CloudWatch metrics in the log, by the embedded metric format, so that no request waits for CloudWatch.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import logging
import threading
import time
from collections import Counter

from chalicelib.core.config import PROJECT, settings

FLUSH_SECONDS = 10

_logger = logging.getLogger("app.metric")
_lock = threading.Lock()
_counts: Counter[str] = Counter()
_flushed_at = float("-inf")


def increment(name: str, number: int = 1) -> None:
    """Add to a metric, by its name in CloudWatch."""
    with _lock:
        _counts[name] += number


def flush_if_due() -> None:
    """Write the counts if FLUSH_SECONDS have passed since the last flush."""
    if time.monotonic() - _flushed_at >= FLUSH_SECONDS:
        flush()


def flush() -> None:
    """Write the counts as one line of the log, or nothing if there are none."""
    global _flushed_at
    with _lock:
        counts = dict(_counts)
        _counts.clear()
        _flushed_at = time.monotonic()
    if not counts:
        return
    directive = {
        "Namespace": PROJECT,
        "Dimensions": [["Stage"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
    }
    embedded = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}}
    fields = {"extra": counts, "embedded_metrics": embedded | {"Stage": settings().stage} | counts}
    _logger.info("Metrics", extra=fields)
