"""A cached token of one account, while the token endpoint takes 3 s over another account's.

Once within a program, and once from the daemon over its Unix socket. Each row is one caller that
asks again and again; the median is p50, over all calls.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from connector import Connector
from connector.client import Client
from connector.simulator import Settings, Simulator
from connector.simulator.faults import Fault
from tests.acceptance.installation import Installation
from tests.benchmarks.table import print_table

ACCOUNT = "acme/ads"
NEIGHBOUR = "acme/slow"
DELAY = 3.0
#: Seconds for which is asked: within the delay.
DURATION = 2.0
#: Calls between two pauses of a millisecond, so that memory does not fill with measurements.
BURST = 50

Call = Callable[[], object]


def main() -> None:
    """Measure; takes about 20 seconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Simulator(Settings(access_token_lifetime=3600, rotation="strict")) as simulator,
        Installation(Path(folder), simulator) as installation,
    ):
        installation.configure()
        installation.connect("ads", ACCOUNT)
        installation.connect("ads", NEIGHBOUR, person="grace")
        with Connector.open(Path(folder) / "config.toml") as connector:
            _compare(
                "in a program",
                simulator,
                lambda: connector.get_token(ACCOUNT),
                # more than a fresh token has: it is refreshed
                lambda: connector.get_token(NEIGHBOUR, min_ttl=7200),
            )
        daemon = installation.serve()
        path = Path(folder) / "connector.sock"
        with Client(path) as client, Client(path) as other:
            _compare(
                "from the daemon",
                simulator,
                lambda: client.get_token(ACCOUNT),
                lambda: other.refresh(NEIGHBOUR),
            )
        installation.stop(daemon)


def _compare(where: str, simulator: Simulator, call: Call, slow: Call) -> None:
    """Measure calls alone, beside the slow one, and alone again; print a table."""
    call()
    alone = _latencies(call)
    simulator.faults.add(Fault(endpoint="token", kind="delay", delay=DELAY, person="grace"))
    took: list[float] = []
    neighbour = threading.Thread(target=lambda: took.append(_time(slow)))
    neighbour.start()
    beside = _latencies(call)
    assert neighbour.is_alive(), "the slow one was not slow"
    neighbour.join()
    assert took[0] >= DELAY * 1e6
    alone += _latencies(call)
    rows = [("alone", alone), (f"while the other takes {took[0] / 1e6:.1f} s", beside)]
    print_table(
        f"A cached token {where}, beside a slow account",
        "µs",
        rows,
        more={
            "p99": [f"{statistics.quantiles(times, n=100)[98]:.1f}" for _, times in rows],
            "calls": [f"{len(times):,}" for _, times in rows],
        },
    )


def _latencies(call: Call) -> list[float]:
    times = []
    ends_at = time.monotonic() + DURATION
    while time.monotonic() < ends_at:
        times += [_time(call) for _ in range(BURST)]
        time.sleep(0.001)
    return times


def _time(call: Call) -> float:
    """Give the microseconds that a call takes."""
    began = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - began) / 1000


if __name__ == "__main__":
    main()
