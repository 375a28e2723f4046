"""Commands of ours that are forked from a process which has its imports behind it.

A command imports for a second and then works for a tenth of one; so most of what the tests of real
processes waited for was imports. What is forked here is a process of its own, with the folder, the
environment and the streams that it is given, and runs ``python -m connector`` from there on. What a
program is started with (its line in ``ps``, ``/proc/PID/environ``) is not its own: where a test
looks at that, it is started anew, and so is whatever has another setting of Python itself.
"""

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import connector.cli

ROOT: Final = Path(__file__).parents[2]
#: Read once, when Python starts: a fork would not notice another value.
_OF_PYTHON: Final = ("PYTHON", "LC_", "LANG", "TZ")
#: Says that coverage is measured, and how.
COVERAGE: Final = "COVERAGE_PROCESS_CONFIG"
_NUMBER: Final = struct.Struct("!q")
#: What commands import when they get there.
_LATE: Final = (
    "aiosqlite",
    "alembic.command",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.h11_impl",
)
#: Not theirs, or imported by those that run them alone.
_NOT_OURS: Final = (
    "connector.__main__",
    "connector.simulator",
    "connector.store.migrations.",
    "connector.testing",
)


class Nursery:
    """The process that commands are forked from."""

    def __init__(self, orders: socket.socket, environment: Mapping[str, str]) -> None:
        self._orders = orders
        self._lock = threading.Lock()
        self._of_python = _of_python(environment)

    @classmethod
    @contextmanager
    def started(cls) -> Iterator[Self]:
        """Start it; it ends when nobody can give it orders any more."""
        ours, theirs = socket.socketpair()
        environment = {name: value for name, value in os.environ.items() if name != COVERAGE}
        command = [sys.executable, "-m", "tests.acceptance.forked", str(theirs.fileno())]
        with (
            ours,
            subprocess.Popen(
                command if COVERAGE not in os.environ else [*command, "coverage"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            ) as process,
        ):
            theirs.close()
            yield cls(ours, os.environ)
            ours.close()
            process.wait()

    def can_run(self, environment: Mapping[str, str]) -> bool:
        """Tell whether a command with this environment may be forked."""
        return _of_python(environment) == self._of_python

    def order(self, details: Mapping[str, object], descriptors: Sequence[int]) -> None:
        """Have a command forked; from any thread."""
        text = json.dumps(details).encode()
        with self._lock:
            socket.send_fds(self._orders, [_NUMBER.pack(len(text))], descriptors)
            self._orders.sendall(text)


class Forked(subprocess.Popen[str]):
    """A command that was forked, to be used as one that was started.

    Args:
        nursery: forks it.
        arguments: of ``connector``.
        cwd: its folder.
        env: its environment.
        takes_input: it has a pipe for its standard input.
    """

    def __init__(
        self,
        nursery: Nursery,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        takes_input: bool = False,
    ) -> None:
        # Popen's own would start a program; these are what its other methods look at
        self.args = ["connector", *arguments]
        self.returncode: int | None = None
        self.text_mode = True
        self._child_created = self._communication_started = False
        self._input = None
        self._sigint_wait_secs = 0.25
        self._ended = threading.Lock()
        self.stdin = None
        for_stdin = os.open(os.devnull, os.O_RDONLY)
        if takes_input:
            os.close(for_stdin)
            for_stdin, ours = os.pipe()
            self.stdin = os.fdopen(ours, "w", buffering=1)
        out, for_stdout = os.pipe()
        err, for_stderr = os.pipe()
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)
        self._life, theirs = socket.socketpair()
        descriptors = [for_stdin, for_stdout, for_stderr, theirs.fileno()]
        try:
            order = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
            nursery.order(order, descriptors)
        finally:
            theirs.close()
            for descriptor in descriptors[:3]:
                os.close(descriptor)
        self.pid = self._told()

    def __del__(self) -> None:
        self._life.close()

    def poll(self) -> int | None:
        """Give the exit status, if it has one."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and give the exit status; from any thread."""
        if self.returncode is None:
            limit = None if timeout is None else max(0.0, timeout)
            if not select.select([self._life], [], [], limit)[0]:
                assert timeout is not None
                raise subprocess.TimeoutExpired(self.args, timeout)
            with self._ended:
                if self.returncode is None:
                    self.returncode = self._told()
        return self.returncode

    def _told(self) -> int:
        said = self._life.recv(_NUMBER.size, socket.MSG_WAITALL)
        assert said, "the nursery has ended"
        number: int = _NUMBER.unpack(said)[0]
        return number


def _of_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(_OF_PYTHON)}


# --- in the process that commands are forked from


def _import_all() -> None:
    """Import what commands import, and open nothing."""
    begin = connector.cli.main
    for module in pkgutil.walk_packages(connector.__path__, "connector."):
        if not module.name.startswith(_NOT_OURS):
            importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    connector.cli.main = begin  # a module has taken its name
    if sys.argv[2:]:
        importlib.import_module("coverage")
    gc.collect()
    gc.freeze()  # the pages that they are on stay shared
    assert threading.active_count() == 1


def _next_order(orders: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Give an order and its descriptors; ends where there will be none any more."""
    head, descriptors, _, _ = socket.recv_fds(orders, _NUMBER.size, 4)
    if not head:
        sys.exit()
    text = orders.recv(_NUMBER.unpack(head)[0], socket.MSG_WAITALL)
    return json.loads(text), descriptors


def _begin() -> dict[str, Any]:
    """Fork whatever is ordered; returns in each new process, with its streams in place."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel clears away who has ended
    while True:
        order, descriptors = _next_order(orders)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    # somebody must see its end and tell of it: its parent
    orders.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, life = descriptors
    if pid := os.fork():
        for descriptor in streams:
            os.close(descriptor)
        for one in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(one, signal.SIG_IGN)
        with contextlib.suppress(BrokenPipeError):  # nobody waits any more
            os.write(life, _NUMBER.pack(pid))
            os.write(life, _NUMBER.pack(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
        os._exit(0)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 1)
    return order


def _become(order: dict[str, Any]) -> None:
    """Be ``python -m connector`` from here on."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["env"])
    sys.path[0] = order["cwd"]
    sys.argv = ["connector", *order["arguments"]]
    if COVERAGE in os.environ:
        importlib.import_module("coverage").process_startup()
    runpy.run_module("connector", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _import_all()
    _become(_begin())
