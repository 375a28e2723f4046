"""Owners of leases: told gone only where that is certain."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from connector.store import owner as owners
from connector.store.owner import is_gone, new_owner

from .worker import Worker


def _of(pid: int) -> str:
    """The owner that a process would have called itself."""
    boot, namespace, _, _, random = new_owner().split(":")
    start = owners._start_time(pid)
    assert start is not None
    return f"{boot}:{namespace}:{pid}:{start}:{random}"


def test_each_owner_is_one_of_a_kind() -> None:
    assert len({new_owner() for _ in range(100)}) == 100


def test_this_process_is_there() -> None:
    assert not is_gone(new_owner())
    assert not is_gone(new_owner(), is_local=True)


def test_a_process_that_has_ended_is_gone(worker: Worker) -> None:
    other = _of(worker.pid)
    assert not is_gone(other)
    worker.kill()
    assert is_gone(other)


def test_a_process_that_has_ended_and_nobody_has_asked_after_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        other = _of(process.pid)
        assert not is_gone(other)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie now
        assert is_gone(other)


def test_another_process_with_the_same_number_is_another_one() -> None:
    boot, namespace, pid, start, random = new_owner().split(":")
    assert is_gone(f"{boot}:{namespace}:{pid}:{int(start) - 1}:{random}")


@pytest.mark.parametrize("is_local", [False, True])
def test_in_another_pid_namespace_nothing_is_certain(is_local: bool) -> None:  # noqa: FBT001
    """Two containers share a boot and see different process tables."""
    boot, _, pid, start, random = new_owner().split(":")
    assert not is_gone(f"{boot}:4026530000:{pid}1:{start}:{random}", is_local=is_local)


def test_of_another_boot_it_is_gone_where_the_database_is_this_hosts_alone() -> None:
    _, namespace, pid, start, random = new_owner().split(":")
    other = f"0a1b2c3d-0000-0000-0000-000000000000:{namespace}:{pid}:{start}:{random}"
    assert not is_gone(other), "it may be another host"
    assert is_gone(other, is_local=True)


@pytest.mark.parametrize("place", [0, 1, 3])
def test_what_is_not_known_is_not_certain(place: int, worker: Worker) -> None:
    parts = _of(worker.pid).split(":")
    worker.kill()
    parts[place] = "-"
    assert not is_gone(":".join(parts))
    assert not is_gone(":".join(parts), is_local=True)


@pytest.mark.parametrize("text", ["", "me", "a:b:c:d", "a:b:c:d:e:f", "a:b:-1:d:e", "a:b:x:d:e"])
def test_what_is_no_owner_is_not_gone(text: str) -> None:
    assert not is_gone(text)
    assert not is_gone(text, is_local=True)


@pytest.mark.parametrize("pid", [10**30, 4_194_305])
def test_a_number_that_no_process_has_is_gone(pid: int) -> None:
    boot, namespace, _, start, random = new_owner().split(":")
    assert is_gone(f"{boot}:{namespace}:{pid}:{start}:{random}")


def test_a_process_that_is_hidden_from_us_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mounted with ``hidepid``, /proc does not show the processes of other users."""
    boot, namespace, _, start, random = new_owner().split(":")

    def refuse(pid: int, number: int) -> None:
        assert (pid, number) == (4_194_305, 0)
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert not is_gone(f"{boot}:{namespace}:4194305:{start}:{random}")


def test_a_process_with_an_odd_name_is_there() -> None:
    """Its name may be any bytes, and hold what looks like the end of it."""
    rename = "import ctypes; ctypes.CDLL(None).prctl(15, b'\\xff) Z 1 (', 0, 0, 0)"  # PR_SET_NAME
    script = f"{rename}; print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert not is_gone(_of(process.pid))
        process.kill()


def test_without_proc_nothing_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setattr(os, "stat", refuse)
    here = new_owner()
    monkeypatch.undo()
    assert here.split(":")[0:2] == ["-", "-"]
    assert not is_gone(here)
    assert not is_gone(here, is_local=True)
