"""Runs a command and tells, as JSON, what it took: seconds, processor time, memory.

It is a small process of its own, since a process counts as its own peak what the one was that it
was forked off. Memory is that of the largest process that the command consisted of.

    python -I -S measured.py SECONDS OUT ERR COMMAND …     it is ended after SECONDS
"""

import json
import os
import signal
import subprocess
import sys
import time


def main(limit: str, out: str, err: str, *command: str) -> None:
    """Run a command.

    Args:
        limit: seconds after which it is ended.
        out: a file for what it prints.
        err: the same for its errors.
        *command: with its arguments.
    """
    with open(out, "wb") as output, open(err, "wb") as errors:  # noqa: PTH123 - pathlib is large
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=errors, start_new_session=True)
        signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
        signal.alarm(int(limit))
        _, status, used = os.wait4(process.pid, 0)
        ended = time.monotonic()
    told = {
        "status": os.waitstatus_to_exitcode(status),
        "began": began,
        "ended": ended,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
