"""The templates, as cfn-lint checks them for each region."""

import pytest
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

from infra import stacks
from infra.platforms import SUPPORTED_REGIONS


@pytest.mark.parametrize("template", ["account", "data", "cache", "domain", "monitoring"])
def test_template_is_valid_in_every_supported_region(template: str) -> None:
    file = stacks.TEMPLATES / f"{template}.yaml"

    assert lint_file(file, config=ManualArgs(regions=list(SUPPORTED_REGIONS))) == []
