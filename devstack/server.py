"""The local AWS in one process: patched ministack, Valkey, and the API at its stable address.

A line on its standard input says that the API is deployed: until then, its stable address answers 503. It stops when
its standard input ends, and so with its parent, however that ends. Its standard output has the functions' log lines.
"""

import argparse
import asyncio
import os
import shutil
import signal
import sys
import threading
from importlib.metadata import version
from pathlib import Path
from typing import Any

from devstack.origin_guard import guarded
from devstack.stack import cache_url
from devstack.valkey import running_valkey
from infra.local_stage import HOST

MINISTACK = "1.5.33"  # devstack.apigateway, stage_cache, iam_recorder, lambda_patches and access_log use its internals
_deployed = threading.Event()


def main() -> None:
    """Serve until SIGTERM, SIGINT or the end of standard input, then save the data."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--aws-port", type=int, required=True)
    parser.add_argument("--api-port", type=int, required=True)
    parser.add_argument("--cache-port", type=int, required=True)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--stage", required=True)
    options = parser.parse_args()
    if version("ministack") != MINISTACK:
        sys.exit(
            f"The local AWS needs ministack {MINISTACK}, not {version('ministack')}: run `make clean` and try again."
        )
    home: Path = options.home
    temporary = home / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # until the loop has its own: Valkey must not stay behind
    with running_valkey(options.cache_port, home / "valkey") as valkey:
        if valkey.port != options.cache_port:
            sys.exit(f"Port {options.cache_port}, meant for Valkey, is in use: try again.")
        # ministack reads its settings when it is imported; the functions inherit them.
        os.environ.update(
            BIND_HOST=HOST,
            GATEWAY_PORT=str(options.aws_port),
            AWS_ENDPOINT_URL=f"http://{HOST}:{options.aws_port}",
            IOT_MTLS_ENABLED="0",
            SFTP_ENABLED="0",
            LAMBDA_EXECUTOR="local",
            LAMBDA_ACCOUNT_CONCURRENCY="0",  # no cap: devstack.lambda_patches lets invocations wait instead
            PERSIST_STATE="1",
            STATE_DIR=str(home / "aws"),
            TMPDIR=str(temporary),
            REDIS_HOST=HOST,
            REDIS_PORT=str(options.cache_port),
            CACHE_URL=cache_url(options.cache_port),
        )
        asyncio.run(_serve(options.aws_port, options.api_port, options.stage, home))


async def _serve(aws_port: int, api_port: int, stage: str, home: Path) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    from devstack import access_log, apigateway, iam_recorder, lambda_patches

    apigateway.patch_ministack()
    lambda_patches.patch_ministack()
    access_log.patch_ministack()
    iam_recorder.patch_ministack(home)
    config = Config()
    config.bind = [f"{HOST}:{aws_port}", f"{HOST}:{api_port}"]
    config.keep_alive_timeout = 75
    config.backlog = 2048  # a thousand clients may come at once
    config.graceful_timeout = 2
    config.accesslog = None
    try:
        app: Any = guarded(apigateway.front(api_port, stage, _deployed.is_set), aws_port)
        await serve(app, config, shutdown_trigger=_end_of_run)
    finally:
        lambda_patches.end()


async def _end_of_run() -> None:
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)

    def wait_for_parent() -> None:
        if sys.stdin.readline():
            _deployed.set()
        sys.stdin.read()
        loop.call_soon_threadsafe(end.set)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    await end.wait()


if __name__ == "__main__":
    main()
