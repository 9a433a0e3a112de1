"""The duration of failed logins: with a wrong password, and with an unknown username.

    make run                                     # in another terminal
    .venv/bin/python -m benchmarks.login_timing  # http://127.0.0.1:8000, or the URL that is given

It makes 10 accounts and 200 failed logins, so that 100 more lock this address out for a quarter of an hour.
"""

import statistics
import sys
import time

from tests.clients import Api, register, unique

ACCOUNTS = 10
GUESSES = 10  # of each account: more are throttled


def main() -> None:
    """Alternate both kinds of logins and print the medians."""
    api = Api(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
    names = [register(api, "student").username for _ in range(ACCOUNTS)]
    wrong, unknown = [], []
    for _ in range(GUESSES):
        for name in names:
            wrong.append(_seconds(api, name))
            unknown.append(_seconds(api, unique("unknown")))
    for what, seconds in (("wrong password", wrong), ("unknown user", unknown)):
        low, middle, high = (1000 * s for s in statistics.quantiles(seconds, n=4))
        print(f"{what:<15} median {middle:6.1f} ms   quartiles {low:6.1f} {high:6.1f}")
    print(f"ratio of medians {statistics.median(unknown) / statistics.median(wrong):.3f}")


def _seconds(api: Api, name: str) -> float:
    started = time.perf_counter()
    response = api.call("POST", "/auth/login/", json={"username": name, "password": "not the password"})
    seconds = time.perf_counter() - started
    assert response.status_code == 401, response.text
    return seconds


if __name__ == "__main__":
    main()
