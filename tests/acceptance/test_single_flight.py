"""One refresh per expiry, whatever the number of threads, tasks and processes that ask.

The simulator's ledger counts what reaches its token endpoint; it ends a grant whose refresh token
comes twice (``strict_family``), so that a second request would be seen as a failure as well.
"""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.simulator import Settings
from tests.acceptance.real_time import real_time_workbench
from tests.unit.workbench import ACCOUNT, REFRESH, Workbench, run_apart

WORKER = Path(__file__).with_name("single_flight_worker.py")
#: Threads and tasks in each process (see the worker).
CALLERS = 2 * 50
#: Seconds that a token lives, and for how long it is asked for, in the longer test; 30 and 75 make
#: a longer one still.
LIFETIME = float(os.environ.get("CONNECTOR_TEST_LIFETIME", "3"))
DURATION = float(os.environ.get("CONNECTOR_TEST_DURATION", "12"))
#: Seconds; a machine may be busy.
PATIENCE = 60.0
PROCESSES = {"sqlite": 8, "postgres": 8}


@pytest.fixture
def bench(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Workbench]:
    """A configuration on one of the databases, and a simulator."""
    url = request.getfixturevalue("postgres_url") if database == "postgres" else None
    settings = Settings(rotation="strict_family")
    with real_time_workbench(tmp_path, settings, postgres_url=url) as made:
        yield made


def ask(bench: Workbench, processes: int, *, seconds: float = 0.0) -> list[dict[str, Any]]:
    """Have all callers of all processes ask from one moment on; give what each process heard."""
    command = [sys.executable, WORKER, "callers", bench.config, ACCOUNT, seconds, processes]
    with subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as workers:
        assert workers.stdout is not None
        assert workers.stdin is not None
        try:
            said = [json.loads(workers.stdout.readline()) for _ in range(processes)]
            assert said == ["ready"] * processes
            workers.stdin.close()  # all of them wait for the end of this one pipe
            heard = [json.loads(workers.stdout.readline()) for _ in range(processes)]
            assert workers.wait(PATIENCE) == 0
        finally:
            if workers.poll() is None:
                os.killpg(workers.pid, signal.SIGKILL)
    return heard


def stored_token(bench: Workbench) -> str:
    """Give the access token that the store has now."""

    async def read() -> str:
        async with bench.runtime() as runtime:
            account = await runtime.accounts.require(ACCOUNT)
            return runtime.accounts.open_access_token(account).reveal()

    return run_apart(read)


@pytest.mark.parametrize(("database", "processes"), PROCESSES.items())
def test_processes_of_a_hundred_callers_each_make_one_request(
    bench: Workbench, processes: int
) -> None:
    bench.connect_apart(is_expired=True)
    heard = ask(bench, processes)
    assert [one["failures"] for one in heard] == [[]] * processes
    assert [one["answers"] for one in heard] == [CALLERS] * processes
    assert [one["tokens"] for one in heard] == [[stored_token(bench)]] * processes
    assert bench.refreshes == 1
    assert bench.simulator.ledger.max_in_flight() == 1


@pytest.mark.timeout(120 + DURATION)
@pytest.mark.parametrize(("database", "processes"), PROCESSES.items())
def test_again_and_again_each_expiry_costs_one_request(bench: Workbench, processes: int) -> None:
    bench.simulator.change({"access_token_lifetime": LIFETIME})
    bench.connect_apart(is_expired=True)
    heard = ask(bench, processes, seconds=DURATION)
    assert [one["failures"] for one in heard] == [[]] * processes
    sent = bench.simulator.ledger.records(REFRESH)
    sys.stdout.write(f"{sum(one['answers'] for one in heard)} answers, {len(sent)} refreshes\n")
    assert {record.outcome for record in sent} == {"issued"}
    assert max(Counter(record.refresh_token for record in sent).values()) == 1
    assert bench.simulator.ledger.max_in_flight() == 1
    assert [record.generation for record in sent] == list(range(len(sent))), "always the newest"
    # a refresh behind the last callers gave a token that nobody got any more
    seen = {token for one in heard for token in one["tokens"]} | {stored_token(bench)}
    assert len(sent) == len(seen), "each token that was minted was used"
    # a token is renewed when a fifth of its life is left, not before; a busy machine takes its time
    most = 1.5 + (sent[-1].time - sent[0].time) / (0.8 * LIFETIME)
    assert DURATION / LIFETIME / 2 <= len(sent) <= most
