"""A clock that moves by sleeping, in place of the module ``time``."""


class FakeClock:
    """Starts at a time in seconds, and records the waits."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self.waits: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
