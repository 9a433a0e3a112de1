"""The generated numbers in the documents are those of the benchmarks, and those of the settings they name."""

import re

import pytest

from benchmarks import costs, limits
from chalicelib.adapters.cache import switch
from infra.config import PROJECT
from infra.stacks import CACHE


@pytest.mark.parametrize("module", [costs, limits], ids=lambda module: module.__name__)
def test_document_of_costs_has_the_generated_tables(module: object, capsys: pytest.CaptureFixture[str]) -> None:
    document = (PROJECT / "docs" / "costs.md").read_text(encoding="utf-8").splitlines()

    module.main()  # type: ignore[attr-defined]

    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert rows
    assert [row for row in rows if row not in document] == []


def test_limits_of_the_cache_are_those_of_its_settings() -> None:
    [maximum] = re.findall(r"ECPUPerSecond: {Maximum: (\d+)}", CACHE.read_text(encoding="utf-8"))

    assert int(maximum) == limits.ECPUS_PER_SECOND
    assert switch.COPY_SECONDS == 1, "each process reads the row of the cache's state once a second"


def test_base_load_has_the_stated_number_of_requests() -> None:
    assert sum(limits.PER_SECOND.values()) == pytest.approx(limits.BASE_REQUESTS)
