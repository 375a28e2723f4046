"""``connector dashboard``: the address, and a code that signs in there."""

import asyncio
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from connector.cli.main import connector
from connector.errors import TemporarilyUnavailable
from connector.store.dashboard_codes import DashboardCodes, TriedCode
from tests.unit.audited import audited
from tests.unit.workbench import Workbench, run_apart, workbench


@pytest.fixture
def port() -> Iterator[int]:
    """Somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def bench(tmp_path: Path, port: int) -> Iterator[Workbench]:
    with workbench(tmp_path) as made:
        made.configure(more=f"[daemon]\nport = {port}\n")
        yield made


def call(bench: Workbench, *arguments: str) -> Result:
    command = ["--config", str(bench.config), "dashboard", *arguments]
    return CliRunner().invoke(connector, command)


def test_prints_the_address_and_a_code_that_is_good(bench: Workbench, port: int) -> None:
    done = call(bench, "--no-browser")
    assert done.exit_code == 0, done.output
    address, line = done.stdout.splitlines()
    assert address == f"Address: http://127.0.0.1:{port}/login"
    found = re.fullmatch(r"Code: +(\S{14}) +\(good for 5 min, once\)", line)
    assert found is not None

    async def take() -> tuple[TriedCode, list[str]]:
        async with bench.runtime() as runtime:
            tried = await DashboardCodes(runtime.database).take(found[1], now=0.0)
            return tried, [row.actor for row in await audited(runtime, "dashboard.code_made")]

    user = str(os.getuid())
    assert run_apart(take) == (TriedCode(actor=user), [f"uid:{user}"])


def test_opens_the_address_without_the_code(
    bench: Workbench, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    async def open_browser(url: str, _hidden: frozenset[str]) -> bool:
        await asyncio.sleep(0)
        opened.append(url)
        return True

    monkeypatch.setattr("connector.cli.dashboard.has_browser", lambda: True)
    monkeypatch.setattr("connector.cli.dashboard.open_browser", open_browser)
    assert call(bench).exit_code == 0
    assert opened == [f"http://127.0.0.1:{port}/login"]


def test_says_that_no_daemon_listens(bench: Workbench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        unused = listener.getsockname()[1]
    bench.configure(more=f"[daemon]\nport = {unused}\n")
    done = call(bench, "--no-browser")
    assert isinstance(done.exception, TemporarilyUnavailable)
    assert "connector serve" in str(done.exception)


def test_behind_a_proxy_the_address_is_the_public_one(bench: Workbench) -> None:
    bench.configure(more='[daemon]\npublic_url = "https://connector.example"\n')
    done = call(bench, "--no-browser")
    assert done.stdout.startswith("Address: https://connector.example/login\n")
