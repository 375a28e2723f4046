"""A provider that answers a byte at a time, or not at all: others are on time, its runs are killed.

It has more accounts than a daemon has places.
"""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from connector.jobs.child_run import GRACE
from connector.settings.jobs import DEFAULT_RUNS as OF_A_JOB
from connector.settings.tables import DEFAULT_RUNS as IN_ALL
from connector.simulator import Settings
from tests.unit.workbench import Workbench, run_apart

from .installation import free_port
from .paged_api import PagedApi
from .real_time import real_time_workbench
from .scheduled import Scheduled

HUNG: Final = IN_ALL + 4
EVERY: Final = 5.0
DEADLINE: Final = 10.0
#: What a busy machine adds.
BUSY: Final = 6.0
REQUEST: Final = """
records = "data"
pagination = { kind = "cursor", next = "after", param = "after" }
"""
CONFIGURATION: Final = """
[daemon]
port = {port}
[providers.slow]
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "file:acme.secret"
scopes = ["ads_read"]
api = {{ base_url = "{slow}/" }}
api_origins = ["{slow}"]
[jobs.slow]
provider = "slow"
account = "slow/*"
schedule = "every 2s"
jitter = "0s"
deadline = "10s"
destination = {{ to = "sqlite:///slow.db", table = "records" }}
[jobs.slow.request]
url = "records"
{request}
[jobs.quick]
account = "acme/*"
schedule = "every 5s"
jitter = "0s"
destination = {{ to = "sqlite:///quick.db", table = "records" }}
[jobs.quick.request]
url = "records"
{request}
"""


class TarPit:
    """Answers every other request with a byte now and again, and the others with nothing."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_over = threading.Event()
        pit = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                pit.asked += 1
                if pit.asked % 2:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", "1000000")
                    self.end_headers()
                    while not pit.is_over.wait(0.1):
                        try:
                            self.wfile.write(b" ")
                        except OSError:  # whoever asked is gone
                            return
                pit.is_over.wait()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.is_over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def pit() -> Iterator[TarPit]:
    made = TarPit()
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, pit: TarPit) -> Iterator[Workbench]:
    """A healthy account, and those of the provider that hangs."""
    with (
        real_time_workbench(tmp_path, Settings(access_token_lifetime=3600)) as made,
        PagedApi(3) as api,
    ):
        simulator = made.simulator
        more = CONFIGURATION.format(
            port=free_port(),
            issuer=simulator.issuer,
            client_id=simulator.client.client_id,
            slow=pit.origin,
            request=REQUEST,
        )
        made.configure(more=more)
        text, own = made.config.read_text(), simulator.url
        text = text.replace(f'"{own}/api/"', f'"{api.origin}/"')
        made.config.write_text(text.replace(f'["{own}"]', f'["{api.origin}"]'))

        async def connect() -> None:
            async with made.runtime(now=time.time) as runtime:
                await made.connect(runtime)
                for number in range(HUNG):
                    await made.connect(runtime, f"slow/{number:02}", provider="slow")

        run_apart(connect)
        yield made


def most_at_once(runs: list[dict[str, Any]]) -> int:
    """Give how many runs went on at once."""
    ends = [(run["finished_at"] or time.time(), -1) for run in runs]
    count = most = 0
    for _, change in sorted([(run["started_at"], 1) for run in runs] + ends):
        count += change
        most = max(most, count)
    return most


def test_others_are_on_time_and_what_hangs_is_killed_at_its_deadline(
    bench: Workbench, pit: TarPit
) -> None:
    with Scheduled(bench) as daemon:
        daemon.wait_for(
            lambda: len(daemon.runs("job = 'slow' AND outcome = 'failed'")) >= 2 * OF_A_JOB
        )
        daemon.stop()
    killed = daemon.runs("job = 'slow' AND outcome = 'failed'")
    assert {run["error"] for run in killed} == {"killed at its deadline of 10 s"}
    took = [run["finished_at"] - run["started_at"] for run in killed]
    assert min(took) >= DEADLINE - 0.1
    assert max(took) < DEADLINE + GRACE + BUSY
    assert pit.asked >= len(killed)
    begun = daemon.runs("job = 'slow' AND outcome <> 'queued'")
    assert most_at_once(begun) == OF_A_JOB
    assert daemon.runs("job = 'slow' AND outcome = 'queued'"), "more are due than have a place"

    quick = daemon.runs("job = 'quick' AND outcome <> 'queued'")
    due = [run["due_at"] for run in quick]
    assert due[-1] - due[0] >= DEADLINE, "while others hang"
    assert due == [due[0] + EVERY * number for number in range(len(due))], "none is left out"
    assert {run["outcome"] for run in quick} == {"succeeded"}
    assert max(run["started_at"] - run["due_at"] for run in quick) < DEADLINE
