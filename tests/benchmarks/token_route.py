"""The token route of a running daemon beside a bare Starlette route that answers the same.

Each server is a process of its own, pinned to one core, its callers to another. Rows that belong
together are measured in turns: over TCP with an API key, over the Unix socket, and with memory full
of accounts that are asked for in random order. A server's own processor time for an answer is told
too: it does not depend on who else wants the machine. oidc-agent is measured where it is installed.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from connector.simulator import Settings, Simulator
from tests.acceptance.installation import Installation, free_port
from tests.benchmarks import oidc_agent
from tests.benchmarks.load import PATIENCE, Address, ask_alone, ask_together, connect, request
from tests.benchmarks.memory import ACCOUNTS, connect_accounts
from tests.benchmarks.table import print_table

CALLERS: Final = 32
ROUNDS: Final = 9
SECONDS: Final = 1.0
#: Calls of a round of one caller alone.
ALONE: Final = 500
TOKEN: Final = "/v1/accounts/acme/ads/token"
AIMS: Final = "Aims: 0.7 of the bare route's rate with the check of a key; 1.3 of its time alone."


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A server, and what it is asked.

    Attributes:
        name: of its row.
        address: where it listens.
        requests: asked in turn.
        pid: the server's process.
    """

    name: str
    address: Address
    requests: list[bytes]
    pid: int
    rates: list[float] = field(default_factory=list)
    percentiles: dict[str, list[float]] = field(default_factory=lambda: {"p50": [], "p99": []})
    busy: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


def main() -> None:
    """Measure; takes two minutes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(Settings(access_token_lifetime=7 * 86_400)) as simulator,
        Installation(Path(folder), simulator) as installation,
        ExitStack() as stack,
    ):
        # one key asks as often as it can, which it may not by default
        installation.configure(providers="rate_limit = 0\n" + installation.providers())
        installation.connect("ads", "acme/ads")
        made = installation.run(
            *("keys", "create", "load", "--accounts", "**", "--scope", "token:read")
        )
        key = made.stdout.strip()
        names = asyncio.run(connect_accounts(installation))
        random.Random(1).shuffle(names)  # noqa: S311 - an order
        daemon = installation.serve()
        folder_path = installation.folder
        socket_path = folder_path / "connector.sock"
        body = _body(socket_path)
        port, path = free_port(), folder_path / "bare.sock"
        bare = stack.enter_context(_bare(port, path, body))
        here = f"127.0.0.1:{installation.port}"
        tcp = ("127.0.0.1", installation.port)
        many = [request(f"/v1/accounts/{name}/token", key, host=here) for name in names]
        ask_alone(tcp, many)  # each is remembered from here on
        one, plain = request(TOKEN, key, host=here), request(TOKEN)
        tables = {
            "over TCP, with an API key": [
                Contender(
                    name="bare route", address=("127.0.0.1", port), requests=[one], pid=bare.pid
                ),
                Contender(name="Connector", address=tcp, requests=[one], pid=daemon.pid),
                Contender(
                    name=f"Connector, {ACCOUNTS:,} accounts in random order",
                    address=tcp,
                    requests=many,
                    pid=daemon.pid,
                ),
            ],
            "over the Unix socket": [
                Contender(name="bare route", address=path, requests=[plain], pid=bare.pid),
                Contender(name="Connector", address=socket_path, requests=[plain], pid=daemon.pid),
            ],
        }
        why = oidc_agent.why_not()
        pids, agent = [daemon.pid, bare.pid], None
        if why is None:
            pid, agent = stack.enter_context(oidc_agent.running(simulator))
            pids.append(pid)
        with _pinned(*pids):
            _measure(tables["over TCP, with an API key"], None)
            agents = _measure(tables["over the Unix socket"], agent)
        installation.stop(daemon)
    for title, contenders in tables.items():
        _print(title, contenders, agents if title.endswith("socket") else [])
    print(f"\n{AIMS}")
    if why:
        print(f"oidc-agent is not measured: {why}")


def _measure(contenders: Sequence[Contender], agent: Path | None) -> list[float]:
    """Ask all in turns; give what oidc-agent took for a call, where there is one (µs)."""
    agents: list[float] = []
    for turn in range(ROUNDS + 1):
        for one in contenders:
            before = _processor_time(one.pid)
            load = asyncio.run(
                ask_together(one.address, one.requests, callers=CALLERS, seconds=SECONDS)
            )
            cost = (_processor_time(one.pid) - before) / len(load.times)
            alone = ask_alone(one.address, (one.requests * ALONE)[:ALONE])
            if not turn:  # the first warms up
                continue
            one.rates.append(load.rate)
            one.busy.append(load.busy)
            one.costs.append(cost * 1e6)
            one.alone.append(statistics.median(alone) * 1e6)
            for name, times in one.percentiles.items():
                times.append(load.percentile(int(name[1:]) / 100) * 1e3)
        if agent is not None:
            calls = [oidc_agent.ask(agent) for _ in range(ALONE)]
            agents += [statistics.median(calls) * 1e6] if turn else []
    return agents


def _print(title: str, contenders: Sequence[Contender], agents: Sequence[float]) -> None:
    def median(values: Sequence[float], digits: int = 0) -> str:
        return f"{statistics.median(values):.{digits}f}"

    print_table(
        f"{CALLERS} callers at once, {title}",
        "answers/s",
        [(one.name, one.rates) for one in contenders],
        more={
            "p50 (ms)": [median(one.percentiles["p50"], 1) for one in contenders],
            "p99 (ms)": [median(one.percentiles["p99"], 1) for one in contenders],
            "server's CPU (µs)": [median(one.costs) for one in contenders],
            "callers' CPU": [f"{statistics.median(one.busy):.0%}" for one in contenders],
        },
    )
    alone: list[tuple[str, Sequence[float]]] = [(one.name, one.alone) for one in contenders]
    if agents:
        alone.append(("oidc-agent, a connection for each call", agents))
    print_table(f"One caller, {title}, a kept connection", "µs", alone)


@contextmanager
def _bare(port: int, path: Path, body: bytes) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the bare route."""
    command = [sys.executable, "-m", "tests.benchmarks.bare_route", str(port), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            process.stdin.write(body)
            process.stdin.close()
            ends_at = time.monotonic() + PATIENCE
            while not _answers(path):
                assert process.poll() is None
                assert time.monotonic() < ends_at, "the bare route does not listen"
                time.sleep(0.02)  # polls a socket that another process opens
            yield process
        finally:
            process.kill()


def _answers(path: Path) -> bool:
    try:
        connect(path).close()
    except OSError:
        return False
    return True


def _body(path: Path) -> bytes:
    with connect(path) as connection:
        connection.sendall(request(TOKEN).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        data = b""
        while more := connection.recv(65536):
            data += more
    body = data.partition(b"\r\n\r\n")[2]
    assert json.loads(body)["access_token"]
    return body


@contextmanager
def _pinned(*servers: int) -> Iterator[None]:
    """Keep the servers on the first core and this process on the last one."""
    before = os.sched_getaffinity(0)
    for pid in servers:
        os.sched_setaffinity(pid, {min(before)})
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _processor_time(pid: int) -> float:
    """Give the processor time that a process has taken (seconds, to the hundredth)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
