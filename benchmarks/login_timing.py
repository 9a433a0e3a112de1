"""The duration of failed logins: with a wrong password, and with an unknown username.

    make run                                     # in another terminal
    .venv/bin/python -m benchmarks.login_timing  # http://127.0.0.1:8000, or the URL that is given

It makes 10 accounts and 200 failed logins, so that 100 more lock this address out for a quarter of an hour.
"""

import sys
from itertools import cycle

import requests

from benchmarks.alternation import Alternation
from tests.clients import Api, register, unique

ACCOUNTS = 10
GUESSES = 10  # of each account: more are throttled


def main() -> None:
    """Alternate both kinds of logins and print the medians."""
    api = Api(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000")
    names = cycle([register(api, "student").username for _ in range(ACCOUNTS)])

    def log_in(name: str) -> requests.Response:
        return api.call("POST", "/auth/login/", json={"username": name, "password": "not the password"})

    logins = Alternation(
        401, {"wrong password": lambda: log_in(next(names)), "unknown user": lambda: log_in(unique("unknown"))}
    )
    for _ in range(ACCOUNTS * GUESSES):
        logins.send_each()
    logins.print_medians()


if __name__ == "__main__":
    main()
