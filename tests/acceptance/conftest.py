"""A simulator and an installation, fresh for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.simulator import Settings, Simulator

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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it runs real processes."""
    for item in items:
        if "/acceptance/" in str(item.path):
            item.add_marker("acceptance")
