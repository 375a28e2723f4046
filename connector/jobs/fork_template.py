"""The process that runs' processes are forked from; see `connector.jobs.fork_server`.

Started as ``python -P -m connector.jobs.fork_template FD``. It has imported what every run needs,
has one thread, opens nothing and holds no secret: a run starts in milliseconds instead of half a
second, and shares the memory of what was imported. It never imports a user's module.

A request is one datagram, and so is its answer:

    F, with three descriptors: a channel, standard output, standard error  →  the process's id
    R and an id: the process has ended; forget it                          →  its wait status

What cannot be done is answered with an errno, below zero.

A process that has ended stays a zombie until it is forgotten, so that nobody else gets its id, or
that of its group, while the server may still signal it. What it has started is ended when it is
forgotten, and everything when the server is gone.
"""

import contextlib
import errno
import gc
import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from connector.jobs.descendants import adopt_orphans, end_children

#: Longer than any request.
LARGEST_REQUEST: Final = 64
FORK: Final = b"F"
REAP: Final = b"R"
#: Of a request to fork: the channel, standard output, standard error.
DESCRIPTORS: Final = 3
#: Where memory ends, the kernel ends a run, and not the process that holds the tokens (proc(5)).
_OOM_SCORE: Final = 500


def serve(requests: socket.socket) -> None:
    """Fork and reap until the server is gone; in a child: return when its run has ended."""
    runs: set[int] = set()
    while True:
        data, descriptors, _, _ = socket.recv_fds(requests, LARGEST_REQUEST, DESCRIPTORS)
        if not data:
            end_children(())  # one that does not let its own threads run would go on for ever
            return
        if data == FORK:
            answer = _fork(descriptors)
            if answer == 0:
                requests.close()
                run(*descriptors)
                return
            for descriptor in descriptors:
                os.close(descriptor)
            if answer > 0:
                runs.add(answer)
        else:
            pid = int(data[len(REAP) :])
            answer = _reap(pid)
            runs.discard(pid)
            end_children(runs)
        requests.send(str(answer).encode())


def _fork(descriptors: Sequence[int]) -> int:
    """Fork; give what fork(2) does, and an errno below zero where it cannot be done."""
    if len(descriptors) < DESCRIPTORS:  # we may have no more open (unix(7)): they were dropped
        return -errno.EMFILE
    try:
        return os.fork()
    except OSError as error:
        return -(error.errno or errno.EAGAIN)


def run(channel: int, stdout: int, stderr: int) -> None:
    """Be a run's process: lead a session, have our descriptors, do what the channel says."""
    from connector.jobs.child import main

    os.setsid()
    adopt_orphans()
    _be_ended_first()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, place in ((nothing, 0), (stdout, 1), (stderr, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    main(channel)


def _be_ended_first() -> None:
    """Have the kernel choose this process where memory ends; with it what it starts."""
    score = Path("/proc/self/oom_score_adj")
    with contextlib.suppress(OSError, ValueError):
        if int(score.read_text()) < _OOM_SCORE:
            score.write_text(str(_OOM_SCORE))


def _reap(pid: int) -> int:
    try:
        return os.waitpid(pid, 0)[1]
    except ChildProcessError:
        return -errno.ECHILD


def main() -> None:
    """Import what every run needs, then serve."""
    import sqlite3

    import httpx2
    import orjson

    import connector.jobs.child
    import connector.jobs.pull.declared
    from connector.jobs.leaving import usual_authorities

    usual_authorities()
    adopt_orphans()
    _keep(sqlite3, httpx2, orjson, connector.jobs.child, connector.jobs.pull.declared)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its server
    gc.collect()
    gc.freeze()  # what is there by now stays shared
    serve(socket.socket(fileno=int(sys.argv[1])))


def _keep(*_: object) -> None:
    """Say that these are imported to be there."""


if __name__ == "__main__":
    main()
