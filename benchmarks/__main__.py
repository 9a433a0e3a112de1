"""``python -m benchmarks`` (make bench): all measurements in one run, into benchmarks/RESULTS.md."""

import os
import platform
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from benchmarks import contention, growth, hit_ratio, request_cpu
from benchmarks.stage import running_stage, valkey_version
from infra.config import PROJECT

RESULTS = Path(__file__).parent / "RESULTS.md"
_PACKAGES = ("chalice", "pynamodb", "botocore", "valkey")


def main() -> None:
    """Measure, print the tables, and write them."""
    started = time.monotonic()

    def show(step: str) -> None:
        print(f"{time.monotonic() - started:6.1f} s  {step}", file=sys.stderr, flush=True)

    parts: list[tuple[str, ModuleType, Callable[[], str]]] = [
        ("CPU time per request", request_cpu, request_cpu.report),
        ("Contention", contention, contention.report),
        ("Hit ratio", hit_ratio, lambda: hit_ratio.report(show)),
        ("Growth", growth, lambda: growth.report(show)),
    ]
    sections = []
    for title, module, report in parts:
        show(title)
        with running_stage():  # an empty one for each
            introduction = _introduction()
            sections.append(f"## {title}\n\n{_rewrapped(module.__doc__ or '')}\n\n{report()}")
    result = "\n\n".join([introduction, *sections]) + "\n"
    RESULTS.write_text(result, encoding="utf-8")
    print(result)
    show(f"written to {RESULTS.relative_to(PROJECT)}")


def _introduction() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return "\n".join(
        (
            "# Results of `make bench`\n",
            f"- Time: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}",
            f"- Machine: {_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
            f"- Versions: Python {platform.python_version()}, {packages} (client), Valkey {valkey_version()} (server)",
            "\nTimes are CPU times of one process: medians of interleaved rounds. A ratio is the median of the",
            "ratios of the rounds: it depends less on the machine.",
        )
    )


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=PROJECT, text=True).strip()

    is_changed = bool(git("status", "--porcelain", "--untracked-files=no"))
    return git("rev-parse", "--short", "HEAD") + (", with local changes" if is_changed else "")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())


def _rewrapped(text: str) -> str:
    """Return the paragraphs of a docstring, wrapped as Markdown is."""
    return "\n\n".join(textwrap.fill(paragraph, 100) for paragraph in text.replace("``", "`").strip().split("\n\n"))


if __name__ == "__main__":
    main()
