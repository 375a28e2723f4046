"""Imports a job's function as a run would, in a process of its own: a module may do anything.

Started as ``python -P -m connector.jobs.import_check FD RUN FOLDER``; what is wrong is written to
the descriptor, and nothing but the end of the process ends it otherwise.
"""

import contextlib
import inspect
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from connector.jobs.user_module import describe_failure, load_function

#: A module that takes longer to import is hung (seconds).
DEADLINE: Final = 30.0
#: What is told of a failure: less than a pipe takes without a reader.
LONGEST_FAILURE: Final = 4000
_DONE: Final = "done"


def import_failure(
    run: str, folder: Path, hidden_variables: frozenset[str], *, deadline: float = DEADLINE
) -> str | None:
    """Import ``module:function`` in a child process; give what is wrong, or None.

    Args:
        run: ``module:function``.
        folder: where modules are looked for first; the child's working directory.
        hidden_variables: environment variables that the child does not get.
        deadline: seconds.
    """
    from connector.jobs.child_run import OWN_VARIABLES

    hidden = hidden_variables | OWN_VARIABLES
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(  # noqa: S603 - this Python, and a module of ours
            [sys.executable, "-P", "-m", __name__, str(theirs), run, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=environment,
            pass_fds=[theirs],
            start_new_session=True,
        )
    finally:
        os.close(theirs)
    with os.fdopen(ours, encoding="utf-8", errors="replace") as result:
        try:
            status = process.wait(deadline)
        except subprocess.TimeoutExpired:
            return f"importing {run} takes longer than {deadline:g} s"
        finally:
            _kill_group(process)
        told = result.read()  # whoever held the pipe is gone
    if told == _DONE:
        return None
    return told or f"importing {run} ended the process (exit status {status})"


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill the child with whatever it has started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # all of them have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    """Import, and write what is wrong."""
    descriptor, run, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    told = _DONE
    try:
        function = load_function(run, folder)
        if not _takes_two(function):
            told = f"{run} does not take two arguments, (api, context)"
    except Exception as error:  # noqa: BLE001 - whatever a user's module raises
        told = describe_failure(error, folder)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as result:
        result.write(told[:LONGEST_FAILURE])


def _takes_two(function: object) -> bool:
    """Tell whether a function can be called as a run does, as far as that can be known."""
    try:
        inspect.signature(function).bind(None, None)  # type: ignore[arg-type]
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


if __name__ == "__main__":
    main()
