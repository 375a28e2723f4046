"""A simulator and an installation, fresh for each test, and programs that ask for tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.simulator import Settings, Simulator

from .callers import Callers
from .installation import Installation


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Settings(access_token_lifetime=60, rotation="strict_family")) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, simulator: Simulator) -> Iterator[Installation]:
    with Installation(tmp_path, simulator) as made:
        made.configure()
        yield made


@pytest.fixture(scope="session")
def callers() -> Iterator[Callers]:
    """The process that programs which ask for tokens are forked from."""
    with Callers.started() as started:
        yield started


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it runs real processes."""
    for item in items:
        if "/acceptance/" in str(item.path):
            item.add_marker("acceptance")
