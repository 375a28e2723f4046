"""Hostile callers over TCP: the daemon stays small, and others are served (CHECKLIST 152).

Ten thousand slow connections, or as many as this machine lets a process open; a gigabyte of body;
one key that calls without a pause. The figures are printed (`-rP` shows them).
"""

import contextlib
import http.client
import resource
import selectors
import socket
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from .installation import Installation

WANTED = 10_000
#: What the daemon's memory may grow by (KiB), whatever is thrown at it.
GROWTH = 48 * 1024
#: Calls a second of one key: fewer than four callers make on any machine.
RATE = 100
#: How long a caller may wait on this machine, which does the flooding as well (seconds).
PATIENCE = 5.0
KEY = ("--accounts", "**", "--scope", "token:read")
TOKEN = "/v1/accounts/acme/ads/token"


@pytest.fixture
def descriptors() -> Iterator[int]:
    """As many open files as this process may have."""
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1_048_576 if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


class Flooded:
    """A daemon, how large it is, and how long its other callers wait."""

    def __init__(self, installation: Installation) -> None:
        installation.connect("ads", "acme/ads")
        made = installation.run("keys", "create", "good", *KEY)
        self.key = {"Authorization": f"Bearer {made.stdout.strip()}"}
        self.process = installation.serve()
        self.address = ("127.0.0.1", installation.port)
        self.waits: dict[str, list[float]] = {"tcp": [], "unix": []}
        transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
        self.unix = httpx2.Client(transport=transport, base_url="http://connector")
        self.ask("tcp")
        self.ask("unix")
        self.size = self._size()

    def grown(self) -> int:
        """Give by how much it has grown (KiB)."""
        return self._size() - self.size

    def descriptors(self) -> int:
        """Give how many files it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def ask(self, kind: str) -> int:
        """Ask for a token over a new connection; note how long that took."""
        began = time.monotonic()
        if kind == "unix":
            status = self.unix.get(TOKEN, timeout=PATIENCE).status_code
        else:
            line = http.client.HTTPConnection(*self.address, timeout=PATIENCE)
            with contextlib.closing(line):
                line.request("GET", TOKEN, headers=self.key)
                status = line.getresponse().status
        self.waits[kind].append(time.monotonic() - began)
        return status

    def report(self, what: str) -> None:
        """Print figures."""
        for kind, waits in self.waits.items():
            middle, worst = statistics.median(waits) * 1000, max(waits) * 1000
            tell(f"{what}: {kind}: {len(waits)} calls, {middle:.0f} ms, at most {worst:.0f} ms")
        tell(f"{what}: grown by {self.grown() / 1024:.1f} MiB, {self.descriptors()} files")

    def _size(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])


def tell(figures: str) -> None:
    sys.stdout.write(f"{figures}\n")


@pytest.fixture
def flooded(installation: Installation, request: pytest.FixtureRequest) -> Iterator[Flooded]:
    config = installation.folder / "config.toml"
    rate = getattr(request, "param", 0)
    config.write_text(config.read_text().replace("[daemon]", f"[daemon]\nrate_limit = {rate}"))
    installation.nursery = None  # memory and descriptors are those of a program that was started
    made = Flooded(installation)
    yield made
    made.unix.close()


def open_slow(address: tuple[str, int], stack: contextlib.ExitStack) -> socket.socket:
    """Begin a connection, and begin a request on it once it stands."""
    line = stack.enter_context(socket.socket())
    line.settimeout(0)
    line.connect_ex(address)
    return line


@pytest.mark.timeout(240)
def test_slow_connections(flooded: Flooded, descriptors: int) -> None:
    most = min(WANTED, descriptors - 500)
    lines: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        for i in range(most):
            lines.append(open_slow(flooded.address, stack))
            if i >= 50:
                with contextlib.suppress(OSError):  # it has given way
                    lines[i - 50].send(b"GET / HTTP/1.1\r\nHost: ")
            if i % 100 == 0:
                assert flooded.ask("tcp") == 200
                assert flooded.ask("unix") == 200
                assert flooded.descriptors() < 1_000
        ends_at = time.monotonic() + 12.0
        while time.monotonic() < ends_at:  # a byte now and then, as slow senders do
            for line in lines[-300:]:
                with contextlib.suppress(OSError):
                    line.send(b"x")
            assert flooded.ask("tcp") == 200
            assert flooded.ask("unix") == 200
        flooded.report(f"{most} slow connections")
        assert flooded.grown() < GROWTH
        with selectors.DefaultSelector() as ended:
            for line in lines:
                ended.register(line, selectors.EVENT_READ)
            assert len(ended.select(5)) == most  # each has been answered or cut off
    assert statistics.median(flooded.waits["tcp"]) < 0.25


@pytest.mark.timeout(240)
def test_endless_bodies(flooded: Flooded) -> None:
    """A gigabyte, claimed or not claimed, with a key and without."""
    key = f"Authorization: {flooded.key['Authorization']}\r\n"
    sizes = ["Content-Length: 1073741824", "Transfer-Encoding: chunked"]
    heads = [
        f"{line} HTTP/1.1\r\nHost: 127.0.0.1:{flooded.address[1]}\r\n{holder}"
        f"Content-Type: application/json\r\n{size}\r\n\r\n"
        for line in ("POST /v1/consents", f"GET {TOKEN}", "POST /v1/accounts/acme/ads/refresh")
        for holder in (key, "")
        for size in sizes
    ]
    taken: list[int] = []

    def send(head: str) -> None:
        chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n" if "chunked" in head else b" " * 65_536
        sent = 0
        with socket.create_connection(flooded.address) as line, contextlib.suppress(OSError):
            line.settimeout(PATIENCE)
            line.sendall(head.encode())
            while sent < 2**30:
                line.sendall(chunk)
                sent += len(chunk)
        taken.append(sent)

    senders = [threading.Thread(target=send, args=(head,)) for head in heads]
    for sender in senders:
        sender.start()
    while any(sender.is_alive() for sender in senders):
        assert flooded.ask("tcp") == 200
        assert flooded.ask("unix") == 200
    flooded.report(f"{len(heads)} endless bodies")
    tell(f"of each gigabyte at most {max(taken) / 2**20:.1f} MiB were taken")
    assert len(taken) == len(heads)
    assert max(taken) < 64 * 2**20
    assert flooded.grown() < GROWTH


@pytest.mark.timeout(240)
@pytest.mark.parametrize("flooded", [RATE], indirect=True)
def test_a_key_that_calls_without_a_pause(flooded: Flooded, installation: Installation) -> None:
    made = installation.run("keys", "create", "greedy", *KEY)
    greedy = {"Authorization": f"Bearer {made.stdout.strip()}"}
    counts: dict[int, int] = {}
    is_over = threading.Event()

    def call() -> None:
        base = f"http://127.0.0.1:{flooded.address[1]}"
        with httpx2.Client(base_url=base, headers=greedy, timeout=30) as client:
            while not is_over.is_set():
                status = client.get(TOKEN).status_code
                counts[status] = counts.get(status, 0) + 1

    callers = [threading.Thread(target=call) for _ in range(4)]
    began = time.monotonic()
    for caller in callers:
        caller.start()
    try:
        while time.monotonic() < began + 5.0:
            assert flooded.ask("tcp") == 200
            assert flooded.ask("unix") == 200
            time.sleep(0.03)  # for its own key has the same bound
    finally:
        is_over.set()
        for caller in callers:
            caller.join()
    took = time.monotonic() - began
    flooded.report(f"one key, {sum(counts.values()) / took:.0f} calls a second: {counts}")
    assert set(counts) <= {200, 429}
    assert counts[200] <= RATE * took + 2 * RATE
    assert counts[429] > 0
