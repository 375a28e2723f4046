"""A simulator and an installation, fresh for each test, and programs that ask for tokens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from connector.simulator import Settings, Simulator
from connector.simulator.options import changed
from tests.postgres import PostgresServer

from .callers import Callers
from .facebook_example import USUAL, FacebookExample
from .forked import Nursery
from .installation import Installation
from .untraced import trace_nothing_started
from .vaults import vault_template

__all__ = ["trace_nothing_started"]


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with Simulator(Settings(access_token_lifetime=60, rotation="strict_family")) as running:
        yield running


@pytest.fixture
def installation(tmp_path: Path, simulator: Simulator, nursery: Nursery) -> Iterator[Installation]:
    with Installation(tmp_path, simulator, nursery=nursery) as made:
        made.configure()
        yield made


@pytest.fixture(scope="session")
def connected_example(
    tmp_path_factory: pytest.TempPathFactory, nursery: Nursery
) -> Iterator[FacebookExample]:
    """The example of Facebook Ads, with an account, and its simulator."""
    folder = tmp_path_factory.mktemp("facebook") / "example"
    with (
        Simulator(changed(Settings(), USUAL)) as simulator,
        FacebookExample(folder, simulator, nursery) as made,
    ):
        made.prepare()
        yield made


@pytest.fixture
def example(connected_example: FacebookExample) -> Iterator[FacebookExample]:
    """The same, without records; what a test sets is unset afterwards."""
    simulator = connected_example.simulator
    before = simulator.state.settings
    connected_example.begin_anew()
    yield connected_example
    simulator.state.settings = before
    connected_example.assert_no_token_is_shown()


@pytest.fixture(scope="session")
def callers() -> Iterator[Callers]:
    """The process that programs which ask for tokens are forked from."""
    with Callers.started() as started:
        yield started


@pytest.fixture(scope="session")
def postgres_template(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[URL]:
    """A database with a vault in it, to be copied."""
    with vault_template(postgres_server, tmp_path_factory.mktemp("template")) as url:
        yield url


@pytest.fixture
def postgres_vault_url(postgres_server: PostgresServer, postgres_template: URL) -> Iterator[str]:
    """The URL of a database with a vault in it, as a configuration has it."""
    with postgres_server.database(template=postgres_template) as url:
        yield url.render_as_string(hide_password=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here: it runs real processes."""
    for item in items:
        if "/acceptance/" in str(item.path):
            item.add_marker("acceptance")
