"""Ctrl-C and SIGTERM: a command ends in order, and no refresh is cut off."""

import asyncio
import os
import resource
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from connector.cli import session
from connector.store.database import Database
from connector.store.schema import migrate
from tests.unit.workbench import ACCOUNT

from .conftest import Commands


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@contextmanager
def beside(work: object) -> Iterator[None]:
    """Run something in a thread beside a command."""
    assert callable(work)
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_refresh_under_way_is_finished_however_often_one_asks(
    commands: Commands, number: signal.Signals
) -> None:
    before = commands.bench.connect_apart()
    commands.bench.fault("hold", when="after")
    gate = commands.bench.simulator.gates["gate"]

    def insist() -> None:
        gate.wait_until_held(1)
        for _ in range(5):
            send(number)
            threading.Event().wait(0.05)  # the signals come one by one, as from a keyboard
        gate.release()

    with beside(insist):
        assert commands.run("refresh", ACCOUNT) == 130
    assert commands.err.count("finishing the refresh under way…") == 1
    assert commands.bench.refreshes == 1
    assert commands.run("token", ACCOUNT) == 0
    assert commands.out.strip() != before, "what the provider issued was kept"
    assert commands.bench.refreshes == 1


def test_once_more_while_everything_is_closed(commands: Commands) -> None:
    """The first signal may come when the command has done its work and closes."""
    closed = []

    async def work() -> None:
        async def close() -> None:
            send(signal.SIGINT)
            for _ in range(3):
                await asyncio.sleep(0)
            closed.append(True)

        await session._to_the_end(close())

    with pytest.raises(KeyboardInterrupt):
        session.run_async(work())
    assert closed == [True]
    assert commands.run("accounts") == 0, "the signals have their old meaning again"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupted_while_the_database_opens(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def interrupted(database: Database) -> None:
        send(signal.SIGINT)
        await migrate(database)

    monkeypatch.setattr("connector.runtime.opening.migrate", interrupted)
    assert commands.run("accounts") == 130
    assert (commands.out, commands.err.strip()) == ("", "")


def test_a_command_that_opens_the_vault_writes_no_core_file(commands: Commands) -> None:
    """CHECKLIST 168: it would hold the vault's keys."""
    before, hard = resource.getrlimit(resource.RLIMIT_CORE)
    assert hard != 0, "nothing could be seen"
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        assert commands.run("accounts") == 0
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (before, hard))
