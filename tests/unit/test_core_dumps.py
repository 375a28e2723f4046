"""A process that has the vault open leaves no core dump (CHECKLIST 168)."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from connector.cli import core_dumps

LIMIT = "import resource, os; hard = resource.getrlimit(resource.RLIMIT_CORE)[1]"
UNLIMITED = f"{LIMIT}; resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))"
FORBID = "from connector.cli.core_dumps import forbid_core_dumps; forbid_core_dumps()"
CRASH = "os.abort()"


def crash(folder: Path, *steps: str) -> bool:
    """Run a program that crashes at its end; tell whether the kernel dumped its memory."""
    program = subprocess.Popen(
        [sys.executable, "-c", "\n".join((*steps, CRASH))],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    _, status = os.waitpid(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    assert program.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.mark.skipif(sys.platform != "linux", reason="core dumps are Linux's here")
def test_a_crash_is_not_dumped_whatever_the_limit_was(tmp_path: Path) -> None:
    if not crash(tmp_path, UNLIMITED):
        pytest.skip("this host dumps no core")
    dumped = set(tmp_path.iterdir())
    assert not crash(tmp_path, UNLIMITED, FORBID)
    assert not crash(tmp_path, FORBID, UNLIMITED), "where a program takes dumps, the limit is none"
    assert set(tmp_path.iterdir()) == dumped


def test_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"{UNLIMITED}\n{FORBID}\nfrom connector.cli.core_dumps import are_core_dumps_forbidden"
    for step, told in (("", "True"), (f"{UNLIMITED}\n", "False")):
        if told == "False" and resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            continue
        done = subprocess.run(
            [sys.executable, "-c", f"{script}\n{step}print(are_core_dumps_forbidden())"],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == told
    monkeypatch.setattr(resource, "getrlimit", lambda _: (0, 0))
    monkeypatch.setattr(core_dumps, "_prctl", lambda _: 1)
    assert not core_dumps.are_core_dumps_forbidden()
