"""Fifty threads and one token that has ended, at a server that takes a refresh token once.

The simulator runs in a process of its own, rotates strictly and takes 50 ms for a token request. A
caller has failed that got an error instead of a token.
"""

import base64
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode, urlsplit

from connector import Connector
from connector.simulator import Simulator
from connector.simulator.clock import Clock
from connector.simulator.control import Control
from connector.simulator.faults import Fault
from tests.benchmarks import peers
from tests.benchmarks.table import print_table
from tests.unit.workbench import Workbench

THREADS = 50
ROUNDS = 5
DELAY = 0.05
#: Seconds of life that a token has which has ended.
ENDED = -3600

Call = Callable[[], object]


@dataclass
class Result:
    """What came of all rounds of one client."""

    times: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)


def main() -> None:
    """Measure; takes about 15 seconds."""
    with tempfile.TemporaryDirectory() as folder, _simulator() as (simulator, control):
        bench = Workbench(Path(folder), cast("Simulator", simulator), Clock())
        bench.configure(acme='refresh_token = { rotation = "strict" }')
        registration = peers.Registration(
            token_endpoint=f"{simulator.issuer}/token",
            client_id=simulator.client.client_id,
            client_secret=simulator.client.client_secret,
        )
        with Connector.open(bench.config) as connector:
            clients = _clients(bench, connector, registration, control)
            results: dict[str, Result] = {name: Result() for name, _, _ in clients}
            for turn in range(ROUNDS + 1):
                for name, threads, prepare in clients:
                    result = results[name] if turn else Result()  # the first warms up
                    _round(prepare(), threads, control, result)
    print_table(
        f"{THREADS} threads, one token that has ended, {DELAY * 1000:.0f} ms a token request",
        "ms",
        [(name, result.times) for name, result in results.items()],
        more={
            "token requests": [_most(result.requests) for result in results.values()],
            "callers failed": [_most(result.failed) for result in results.values()],
        },
    )


def _clients(
    bench: Workbench, connector: Connector, registration: peers.Registration, control: Control
) -> list[tuple[str, int, Callable[[], Call]]]:
    """Give each client's name, its threads, and how one round of it is prepared."""

    def grant() -> dict[str, Any]:
        return control.grant("ada")

    def ours() -> Call:
        account = f"acme/account-{time.monotonic_ns()}"
        bench.connect_apart(account, is_expired=True)
        return lambda: connector.get_token(account)

    def bare() -> Call:
        refresh_token = grant()["refresh_token"]
        return lambda: _refresh(registration, refresh_token)

    def authlib() -> Call:
        session = peers.authlib_session(registration, grant(), expires_in=ENDED)
        call: Call = session.ensure_active_token
        return call

    def google() -> Call:
        credentials = peers.google_credentials(registration, grant(), expires_in=ENDED)
        request = peers.google_request()
        return lambda: credentials.before_request(request, "GET", "http://127.0.0.1/", {}) or True

    def requests_oauth2client() -> Call:
        auth = peers.requests_auth(registration, grant(), expires_in=ENDED)
        return lambda: auth(peers.a_request())

    return [
        ("one bare refresh (http.client)", 1, bare),
        ("Connector", THREADS, ours),
        ("Authlib OAuth2Session", THREADS, authlib),
        ("google-auth", THREADS, google),
        ("requests_oauth2client", THREADS, requests_oauth2client),
    ]


def _round(call: Call, threads: int, control: Control, result: Result) -> None:
    """Have so many threads call at once; note what came of it."""
    before = len(control.records())
    succeeded: list[bool] = []
    barrier = threading.Barrier(threads + 1)

    def caller() -> None:
        barrier.wait()
        try:
            succeeded.append(bool(call()))
        except Exception:  # noqa: BLE001 - whatever it raises, this caller has no token
            succeeded.append(False)

    started = [threading.Thread(target=caller) for _ in range(threads)]
    for thread in started:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in started:
        thread.join()
    result.times.append((time.perf_counter() - began) * 1000)
    sent = [record for record in control.records()[before:] if record.endpoint == "token"]
    result.requests.append(len(sent))
    result.failed.append(succeeded.count(False))


def _refresh(registration: peers.Registration, refresh_token: str) -> Mapping[str, object]:
    """Refresh with as little as there is between the program and the socket."""
    parts = urlsplit(registration.token_endpoint)
    pair = f"{registration.client_id}:{registration.client_secret}".encode()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        connection.request(
            "POST",
            parts.path,
            urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token}),
            {
                "Authorization": f"Basic {base64.b64encode(pair).decode()}",
                "Content-Type": "application/x-www-form-urlencoded",
            },
        )
        answer: dict[str, object] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    assert "access_token" in answer
    return answer


@contextmanager
def _simulator() -> Iterator[tuple[SimpleNamespace, Control]]:
    """Run the simulator as a program; give what a workbench needs of it, and its controls."""
    command = [sys.executable, "-m", "connector.simulator", "--port=0", "--json"]
    with subprocess.Popen(
        [*command, "--rotation=strict"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            places: dict[str, str] = json.loads(process.stdout.readline())
            control = Control(places["control_url"], places["control_key"])
            control.add_fault(
                Fault(
                    endpoint="token",
                    kind="delay",
                    delay=DELAY,
                    times=None,
                    grant_type="refresh_token",
                )
            )
            client = SimpleNamespace(
                client_id=places["client_id"], client_secret=places["client_secret"]
            )
            app = SimpleNamespace(app_id=places["app_id"], app_secret=places["app_secret"])
            yield (
                SimpleNamespace(**places, client=client, app=app, grant=control.grant),
                control,
            )
        finally:
            process.terminate()


def _most(counts: list[int]) -> str:
    """Say how many there were: in every round, or from least to most."""
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least}–{most} (median {statistics.median(counts)})"  # noqa: RUF001


if __name__ == "__main__":
    main()
