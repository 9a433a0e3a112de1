"""Durations of two kinds of requests. They alternate, so that other load on the machine affects both."""

import statistics
import time
from collections.abc import Callable

import requests

Request = Callable[[], requests.Response]


class Alternation:
    """Two kinds of requests, and the durations of those sent."""

    def __init__(self, status: int, kinds: dict[str, Request]) -> None:
        self._status = status
        self._kinds = kinds
        self._seconds: dict[str, list[float]] = {kind: [] for kind in kinds}

    def send_each(self) -> None:
        """Send a request of each kind, and check its status."""
        for kind, request in self._kinds.items():
            started = time.perf_counter()
            response = request()
            self._seconds[kind].append(time.perf_counter() - started)
            assert response.status_code == self._status, response.text

    def print_medians(self) -> None:
        """Print the medians and quartiles, and the ratio of the second kind's median to that of the first."""
        width = max(map(len, self._kinds))
        for kind, seconds in self._seconds.items():
            low, middle, high = (1000 * s for s in statistics.quantiles(seconds, n=4))
            print(f"{kind:<{width}} median {middle:6.1f} ms   quartiles {low:6.1f} {high:6.1f}")
        first, second = map(statistics.median, self._seconds.values())
        print(f"ratio of medians {second / first:.3f}")
