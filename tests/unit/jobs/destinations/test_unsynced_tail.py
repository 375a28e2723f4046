"""What a power cut takes of a JSON Lines file, its state gives back to be pulled again."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector.jobs.destinations import unsynced_tail
from connector.jobs.destinations.destination import Destination, DestinationFailed, open_destination
from connector.jobs.destinations.stream import State, Stream

A_BOOT, ANOTHER_BOOT = "2f0c", "91aa"


class Machine:
    """A machine with a file; its power can be cut.

    Attributes:
        synced: descriptors that were synced.
        is_failing: its disk takes nothing more.
    """

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.synced = 0
        self.is_failing = False
        self.now = 1_800_000_000.0
        self._patch = monkeypatch
        self._open: list[Destination] = []
        monkeypatch.setattr(os, "fsync", self._sync)
        monkeypatch.setattr("time.time", lambda: self.now)
        self.boot(A_BOOT)

    def _sync(self, _descriptor: int) -> None:
        if self.is_failing:
            raise OSError(5, "Input/output error")
        self.synced += 1

    def boot(self, boot: str | None) -> None:
        self._patch.setattr(unsynced_tail, "boot_id", lambda: boot)

    def cut_power(self, change: Callable[[bytes], bytes]) -> None:
        """Let the file be what of it has reached the disk; the state has, all of it."""
        self.path.write_bytes(change(self.path.read_bytes()))
        self.boot(ANOTHER_BOOT)

    def open(self, account: str = "acme/ads", key: tuple[str, ...] = ()) -> Destination:
        made = open_destination(
            f"jsonl:{self.path}",
            table="t",
            key=key,
            stream=Stream(job="j", account=account, account_id=f"of {account}"),
        )
        self._open.append(made)
        return made

    def ids(self) -> list[object]:
        return [json.loads(line)["id"] for line in self.path.read_bytes().splitlines()]

    def close(self) -> None:
        self.is_failing = False
        for one in self._open:
            one.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path / "ads.jsonl", monkeypatch)
    yield made
    made.close()


def synced(machine: Machine, *ids: int) -> None:
    """Have lines on the disk, from a run that has ended."""
    destination = machine.open()
    destination.commit([{"id": one} for one in ids], State(cursor=ids[-1]))
    destination.close()


class TestWhenItIsSynced:
    @pytest.mark.parametrize("key", [(), ("id",)], ids=["append", "merge"])
    def test_not_with_each_commit(self, machine: Machine, key: tuple[str, ...]) -> None:
        destination = machine.open(key=key)
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        for number in range(1, 10):
            destination.commit([{"id": number}], State(cursor=number))
        assert machine.synced == before

    def test_once_a_second(self, machine: Machine) -> None:
        destination = machine.open()
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        for number in range(1, 10):
            machine.now += 0.4
            destination.commit([{"id": number}], State(cursor=number))
        assert machine.synced - before == 2

    def test_where_the_clock_was_set_back(self, machine: Machine) -> None:
        destination = machine.open()
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        machine.now -= 3600
        destination.commit([{"id": 1}], State(cursor=1))
        assert machine.synced - before == 1

    def test_where_there_is_much_of_it(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(unsynced_tail, "LONGEST", 100)
        destination = machine.open()
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        for number in range(1, 5):
            destination.commit([{"id": number, "text": "x" * 30}], State(cursor=number))
        assert machine.synced - before == 2

    def test_at_the_end_of_a_run(self, machine: Machine) -> None:
        destination = machine.open()
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        destination.close()
        assert machine.synced - before == 1

    def test_with_each_commit_where_boots_cannot_be_told_apart(self, machine: Machine) -> None:
        machine.boot(None)
        destination = machine.open()
        destination.commit([{"id": 0}], State(cursor=0))
        before = machine.synced
        for number in range(1, 4):
            destination.commit([{"id": number}], State(cursor=number))
        assert machine.synced - before == 3


LOSSES: dict[str, Callable[[bytes], bytes]] = {
    "the last line": lambda data: data[: data.rstrip(b"\n").rindex(b"\n") + 1],
    "half of a line": lambda data: data[:-7],
    "what is in it": lambda data: data[:-20] + bytes(20),
    "all of it": lambda data: data.splitlines(keepends=True)[0],
}


class TestAPowerCut:
    @pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
    def test_takes_commits_back_whole(
        self, machine: Machine, loss: Callable[[bytes], bytes]
    ) -> None:
        synced(machine, 0)
        running = machine.open()
        running.commit([{"id": 1}], State(cursor=0, checkpoint="page 1"))
        running.commit([{"id": 2}], State(cursor=0, checkpoint="page 2"))
        machine.cut_power(loss)
        again = machine.open()
        assert again.state() == State(cursor=0)
        again.commit([{"id": 1}, {"id": 2}], State(cursor=2))
        assert machine.ids() == [0, 1, 2]
        assert machine.open().state() == State(cursor=2)

    def test_takes_those_of_every_account_back(self, machine: Machine) -> None:
        synced(machine, 0)
        for number, account in enumerate(("acme/a", "acme/b", "acme/a"), 1):
            machine.open(account).commit([{"id": number}], State(cursor=number))
        machine.cut_power(LOSSES["half of a line"])
        assert machine.open("acme/a").state() == State()
        assert machine.open("acme/b").state() == State()
        assert machine.open().state() == State(cursor=0)
        machine.open("acme/b").commit([{"id": 7}], State(cursor=7))
        assert machine.ids() == [0, 7]

    def test_that_takes_nothing_takes_nothing_back(self, machine: Machine) -> None:
        synced(machine, 0)
        machine.open().commit([{"id": 1}], State(cursor=1))
        machine.cut_power(lambda data: data)
        again = machine.open()
        assert again.state() == State(cursor=1)
        again.commit([{"id": 2}], State(cursor=2))
        assert machine.ids() == [0, 1, 2]

    def test_takes_what_is_known_of_keys_back_with_their_lines(self, machine: Machine) -> None:
        """Else they would be taken for unchanged when they come again, and be nowhere."""
        first = machine.open(key=("id",))
        first.commit([{"id": 0, "n": 0}, {"id": 1, "n": 0}], State(cursor=0))
        first.close()
        running = machine.open(key=("id",))
        running.commit([{"id": 1, "n": 1}], State(cursor=0, checkpoint="page 1"))
        running.commit([{"id": 2, "n": 1}, {"id": 1, "n": 2}], State(cursor=0, checkpoint="page 2"))
        machine.cut_power(lambda data: data[:-7])
        again = machine.open(key=("id",))
        assert machine.ids() == [0, 1]
        assert again.commit([{"id": 0, "n": 0}, {"id": 2, "n": 1}, {"id": 1, "n": 2}]).changed == 2
        assert machine.ids() == [0, 1, 2, 1]

    def test_takes_nothing_of_what_the_first_versions_knew(self, machine: Machine) -> None:
        """Their states said nothing of where a record stands."""
        first = machine.open(key=("id",))
        first.commit([{"id": 0}], State(cursor=0))
        first.close()
        with closing(sqlite3.connect(f"{machine.path}.state")) as database:
            database.execute("ALTER TABLE content DROP COLUMN start")
        running = machine.open(key=("id",))
        running.commit([{"id": 1}], State(cursor=1))
        machine.cut_power(lambda data: data[:-7])
        assert machine.open(key=("id",)).commit([{"id": 0}, {"id": 1}]).changed == 1
        assert machine.ids() == [0, 1]

    def test_takes_nothing_of_a_run_that_has_ended(self, machine: Machine) -> None:
        synced(machine, 0, 1)
        machine.cut_power(lambda data: data)
        assert machine.open().state() == State(cursor=1)
        assert machine.ids() == [0, 1]


def test_a_file_that_was_changed_by_hand_is_refused(machine: Machine) -> None:
    """The power was not cut: nothing of what somebody did is destroyed."""
    machine.open().commit([{"id": 1}], State(cursor=1))
    machine.path.write_bytes(b'{"id":"mine"}\n')
    with pytest.raises(DestinationFailed, match="shorter than what was committed"):
        machine.open()
    assert machine.ids() == ["mine"]


class TestADiskThatFails:
    def test_at_the_end_of_a_run(self, machine: Machine) -> None:
        synced(machine, 0)
        destination = machine.open()
        destination.commit([{"id": 1}], State(cursor=1))
        machine.is_failing = True
        with pytest.raises(DestinationFailed, match="Input/output error"):
            destination.close()
        machine.is_failing = False
        again = machine.open()
        assert again.state() == State(cursor=0)
        again.commit([{"id": 1}], State(cursor=1))
        assert machine.ids() == [0, 1]

    def test_while_a_run_commits(self, machine: Machine) -> None:
        synced(machine, 0)
        destination = machine.open()
        destination.commit([{"id": 1}], State(cursor=1))
        machine.is_failing, machine.now = True, machine.now + 2
        with pytest.raises(DestinationFailed, match="Input/output error"):
            destination.commit([{"id": 2}], State(cursor=2))
        machine.is_failing = False
        assert destination.state() == State(cursor=0)
        destination.commit([{"id": 1}, {"id": 2}], State(cursor=2))
        assert machine.ids() == [0, 1, 2]
