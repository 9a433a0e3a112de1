"""The services in this process, on the tables of a local AWS that is a server of its own."""

from collections.abc import Iterator

import pytest

from chalicelib.adapters import aws, sqs
from chalicelib.models import base
from chalicelib.security import signing_keys
from devstack.stack import Stack, free_ports
from infra.config import PROJECT
from infra.local_stage import aws_environment
from infra.stacks import provision
from tests.stack import TEST_STAGE


@pytest.fixture(scope="package")
def local_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty stage ``test`` on the local AWS."""
    stack = Stack(PROJECT, tmp_path_factory.mktemp("aws"), *free_ports(2))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws_environment(stack.aws_url).items():
            patch.setenv(name, value)
        _forget_clients()
        stack.start()
        try:
            provision(TEST_STAGE)
            yield
        finally:
            stack.stop()
            _forget_clients()


def _forget_clients() -> None:
    """Forget clients and cached values of one AWS before another one is used."""
    for module in (aws, sqs, base, signing_keys):
        module.reset()
