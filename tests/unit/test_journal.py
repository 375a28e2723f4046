"""The journal: what is kept is there after a crash, and is nobody's loss when it is torn."""

import itertools
import os
import stat
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from connector.errors import TemporarilyUnavailable
from connector.journal import ALLOCATED, Journal, Record


def record(number: int, size: int = 10) -> Record:
    return Record(account_id=f"account{number}", generation=number, payload=b"\0\n" * size)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "journals"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    made = Journal(folder)
    yield made
    made.close()


def test_what_is_kept_is_found_by_everybody(journal: Journal, folder: Path) -> None:
    for number in range(3):
        journal.keep(record(number))
    assert journal.held() == [record(0), record(1), record(2)]
    other = Journal(folder)
    assert other.find("account1", 1) == record(1)
    assert other.find("account1", 2) is None
    assert other.held() == []


def test_it_is_allocated_beforehand_and_closed_to_others(journal: Journal, folder: Path) -> None:
    journal.prepare()
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert path.stat().st_size == ALLOCATED
    assert path.stat().st_blocks * 512 >= ALLOCATED, "the room is there, not only promised"
    journal.keep(record(1))
    assert path.stat().st_size == ALLOCATED


def test_nothing_is_made_before_it_is_needed(journal: Journal, folder: Path) -> None:
    assert journal.find("account1", 1) is None
    assert journal.held() == []
    assert not folder.exists()


def test_processes_have_files_of_their_own(journal: Journal, folder: Path) -> None:
    other = Journal(folder)
    journal.keep(record(1))
    other.keep(record(2))
    assert (journal.held(), other.held()) == ([record(1)], [record(2)])
    assert len(list(folder.iterdir())) == 2
    other.close()


def test_what_a_dead_process_left_is_taken_over(folder: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from connector.journal import Journal, Record\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.keep(Record(account_id='account7', generation=7, payload=bytes(20)))\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], check=False)
    assert done.returncode == -9
    journal = Journal(folder)
    journal.prepare()
    assert [found.account_id for found in journal.held()] == ["account7"]
    journal.close()


def test_all_files_of_the_dead_are_adopted_and_those_of_the_living_left(folder: Path) -> None:
    three = [Journal(folder) for _ in range(3)]
    for number, one in enumerate(three):
        one.keep(record(number))
    three[0].close()
    three[1].close()
    journal = Journal(folder)
    journal.adopt()
    assert sorted(found.account_id for found in journal.held()) == ["account0", "account1"]
    journal.adopt()
    assert len(journal.held()) == 2
    assert three[2].held() == [record(2)]
    three[2].close()
    journal.close()


def test_of_what_the_dead_left_the_settled_is_not_adopted(journal: Journal, folder: Path) -> None:
    journal.keep(record(3))
    other = Journal(folder)
    other.keep(record(1))
    other.keep(record(2))
    other.settle(record(1))
    other.close()
    journal.adopt()
    assert journal.held() == [record(3), record(2)]


def test_what_is_adopted_is_found_at_every_moment(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks meanwhile and misses it would send the old refresh token."""
    journal.prepare()
    dead = Journal(folder)
    dead.keep(record(7))
    dead.close()
    read_bytes = Path.read_bytes

    def read_and_adopt(path: Path) -> bytes:
        found = read_bytes(path)
        journal.adopt()
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Path, "glob", lambda path, _: iter(sorted(path.iterdir())))
        patch.setattr(Path, "read_bytes", read_and_adopt)
        assert Journal(folder).find("account7", 7) == record(7)
    assert journal.held() == [record(7)]


def test_what_was_adopted_and_is_settled_leaves_room_for_the_next(
    journal: Journal, folder: Path
) -> None:
    for number in range(20):
        journal.keep(record(100 + number))
        dead = Journal(folder)
        dead.keep(record(number))
        dead.keep(record(50 + number))
        dead.close()
        journal.adopt()
        for one in (record(number), record(50 + number), record(100 + number)):
            assert one in journal.held()
            journal.settle(one)
        assert journal.held() == []
    assert len(list(folder.iterdir())) == 2


def test_settled_is_forgotten_and_its_room_used_again(journal: Journal, folder: Path) -> None:
    for round_ in range(50):
        journal.keep(record(round_, 10_000))
        journal.keep(record(1000 + round_, 10_000))
        journal.settle(record(round_, 10_000))
        assert journal.held() == [record(1000 + round_, 10_000)]
        journal.settle(record(1000 + round_, 10_000))
        assert journal.held() == []
    (path,) = folder.iterdir()
    assert path.stat().st_size == ALLOCATED
    journal.close()
    again = Journal(folder)
    again.prepare()
    assert again.held() == []
    again.close()


def test_of_two_the_settled_one_stays_settled_after_a_restart(
    journal: Journal, folder: Path
) -> None:
    journal.keep(record(1))
    journal.keep(record(2))
    journal.settle(record(1))
    journal.close()
    again = Journal(folder)
    again.prepare()
    assert again.held() == [record(2)]
    again.keep(record(3))
    assert again.held() == [record(2), record(3)]
    again.close()


def test_more_than_was_allocated_is_kept_too(journal: Journal) -> None:
    large = record(1, ALLOCATED)
    journal.keep(large)
    journal.keep(record(2))
    assert journal.held() == [large, record(2)]


def test_a_torn_record_costs_none_before_it(journal: Journal, folder: Path) -> None:
    journal.keep(record(1))
    (path,) = folder.iterdir()
    end = len(path.read_bytes().rstrip(b"\0"))
    journal.keep(record(2))
    journal.close()
    whole = path.read_bytes()
    last = len(whole.rstrip(b"\0"))
    for cut in range(end, last):
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
        again = Journal(folder)
        again.prepare()
        assert again.held() == [record(1)]
        again.close()
    for changed in range(end + 5, last):
        damaged = bytearray(whole)
        damaged[changed] ^= 1
        path.write_bytes(damaged)
        again = Journal(folder)
        again.prepare()
        assert again.held() == [record(1)]
        again.close()


class Disk:
    """What a power cut may leave of the writes to a file: all that was synced, any of the rest."""

    def __init__(self, before: bytes) -> None:
        self.states = [[before]]
        self._unsynced: list[tuple[int, bytes]] = []
        self._synced = before

    def write(self, _descriptor: int, offset: int, data: bytes) -> None:
        self._unsynced.append((offset, data))
        self._note()

    def sync(self, _descriptor: int) -> None:
        self._synced = self._after(self._unsynced)
        self._unsynced = []
        self._note()

    def _note(self) -> None:
        """Note the states that are possible now."""
        count = len(self._unsynced)
        subsets = itertools.chain.from_iterable(
            itertools.combinations(self._unsynced, size) for size in range(count + 1)
        )
        self.states.append([self._after(subset) for subset in subsets])

    def _after(self, writes: Iterable[tuple[int, bytes]]) -> bytes:
        content = bytearray(self._synced)
        for offset, data in writes:
            content[offset : offset + len(data)] = data
        return bytes(content)


def test_a_power_cut_leaves_what_was_kept_and_nothing_that_was_not(
    journal: Journal, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The room of what was settled is used again: of the old record nothing must come back."""
    journal.keep(record(1))
    journal.settle(record(1))
    (path,) = folder.iterdir()
    disk = Disk(path.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr("connector.journal._write", disk.write)
        patch.setattr(os, "fsync", disk.sync)
        journal.keep(record(2))
    assert len(disk.states) > 2
    (tmp_path / "after").mkdir()
    for number, states in enumerate(disk.states):
        for state in states:
            (tmp_path / "after" / "0.journal").write_bytes(state)
            after = Journal(tmp_path / "after")
            assert after.find("account1", 1) is None
            found = after.find("account2", 2)
            assert found in {None, record(2)}
            assert found is not None or number < len(disk.states) - 1, "it was said to be kept"


def test_a_file_that_is_no_journal_is_none(folder: Path) -> None:
    folder.mkdir()
    (folder / "0.journal").write_bytes(b"something else" * 100)
    journal = Journal(folder)
    journal.keep(record(1))
    assert journal.held() == [record(1)]
    journal.close()
    assert Journal(folder).find("account1", 1) == record(1)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TemporarilyUnavailable, match="journal"):
        Journal(tmp_path / "file" / "journals").prepare()


def test_a_disk_that_is_full_is_told(
    journal: Journal, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(TemporarilyUnavailable, match="No space left"):
            journal.prepare()
    journal.prepare()
    assert len(list(folder.iterdir())) == 1
