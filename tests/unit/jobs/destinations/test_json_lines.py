import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.jobs.destinations.destination import Destination, DestinationFailed, open_destination
from connector.jobs.destinations.stream import State, Stream


class Opened:
    """Opens destinations on one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: list[Destination] = []

    def __call__(
        self,
        key: tuple[str, ...] = ("id",),
        *,
        job: str = "insights",
        account: str = "acme/ads",
        account_id: str | None = None,
    ) -> Destination:
        opened = open_destination(
            f"jsonl:{self.path}",
            table="insights",
            key=key,
            stream=Stream(job=job, account=account, account_id=account_id or f"of {account}"),
        )
        self._open.append(opened)
        return opened

    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    made = Opened(tmp_path / "new folder" / "ads.jsonl")
    yield made
    made.close()


def test_one_line_a_record(opened: Opened) -> None:
    destination = opened()
    assert destination.state().cursor is None
    destination.commit(
        [{"id": 1, "name": "é\n\u2028", "tags": [1, {"a": None}]}], State(cursor="2027-01-15")
    )
    assert opened.lines() == [
        {"_account": "acme/ads", "id": 1, "name": "é\n\u2028", "tags": [1, {"a": None}]}
    ]
    assert opened.path.read_bytes().count(b"\n") == 1
    assert destination.state().cursor == "2027-01-15"


def test_a_repeat_changes_nothing_and_a_change_is_appended(opened: Opened) -> None:
    destination = opened()
    records = [{"id": i, "tags": {"b", "a", "c"}} for i in range(5)]
    destination.commit(records, State(cursor=1))
    before = opened.path.read_bytes()
    opened().commit(records, State(cursor=2))
    assert opened.path.read_bytes() == before
    assert destination.state().cursor == 2
    destination.commit([{"id": 3, "tags": []}, {"id": 4, "tags": {"c", "b", "a"}}])
    assert [line["id"] for line in opened.lines()] == [0, 1, 2, 3, 4, 3]


def test_the_same_key_twice_in_one_commit(opened: Opened) -> None:
    opened().commit([{"id": 1, "n": 1}, {"id": 1, "n": 2}, {"id": 1, "n": 2}])
    assert [line["n"] for line in opened.lines()] == [1, 2], "the later line holds"


def test_without_a_key_every_record_is_new(opened: Opened) -> None:
    destination = opened(())
    for _ in range(2):
        destination.commit([{"id": 1}])
    assert len(opened.lines()) == 2


def test_accounts_and_jobs_do_not_mix(opened: Opened) -> None:
    opened().commit([{"id": 1}], State(cursor="a"))
    opened(account="acme/other").commit([{"id": 1}], State(cursor="b"))
    assert [line["_account"] for line in opened.lines()] == ["acme/ads", "acme/other"]
    assert (opened().state().cursor, opened(account="acme/other").state().cursor) == ("a", "b")
    assert opened(job="others").state().cursor is None


def test_a_cursor_may_be_set_back(opened: Opened) -> None:
    opened().commit([{"id": 1}], State(cursor="first"))
    opened().commit([{"id": 2}])
    assert opened().state().cursor == "first"
    opened().commit([], State(cursor=None))
    assert opened().state().cursor is None


def test_half_a_surrogate_pair_is_kept_as_it_came(opened: Opened) -> None:
    """APIs cut texts within an emoji; that is no reason to end a pull."""
    opened().commit([{"id": "\ud83d", "name": "cut \ud83d"}])
    (line,) = opened.lines()
    assert line["name"] == "cut \ud83d"
    opened().commit([{"id": "\ud83d", "name": "cut \ud83d"}])
    assert len(opened.lines()) == 1


class TestNothingIsWritten:
    def test_where_the_file_cannot_be_written(
        self, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = opened()
        first.commit([{"id": 1}], State(cursor="before"))
        first.close()
        destination = opened()

        def full(_descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            patch.setattr("connector.jobs.destinations.unsynced_tail.INTERVAL", 0)
            with pytest.raises(DestinationFailed, match="No space left"):
                destination.commit([{"id": 2}], State(cursor="after"))
        assert destination.state().cursor == "before"
        destination.commit([{"id": 2}], State(cursor="after"))
        assert [line["id"] for line in opened.lines()] == [1, 2], "once, after all"


class TestChangedByHand:
    """What somebody did to the file is told, and nothing of theirs is destroyed."""

    @pytest.fixture
    def destination(self, opened: Opened) -> Destination:
        destination = opened()
        destination.commit([{"id": 1, "n": 1}, {"id": 2, "n": 2}], State(cursor="before"))
        return destination

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text[:-1],
            lambda text: text[: len(text) // 2],
            lambda text: text[:0],
            lambda text: text.replace(b"}\n", b"} \n"),
            lambda text: b"\xef\xbb\xbf" + text,
        ],
        ids=["no last newline", "half", "emptied", "reformatted", "byte order mark"],
    )
    def test_is_told(self, opened: Opened, destination: Destination, change: object) -> None:
        assert callable(change)
        changed = change(opened.path.read_bytes())
        opened.path.write_bytes(changed)
        with pytest.raises(
            DestinationFailed, match=r"changed by hand; move it away together with .*\.state"
        ):
            destination.commit([{"id": 3}], State(cursor="after"))
        with pytest.raises(DestinationFailed, match="changed by hand"):
            opened()
        assert opened.path.read_bytes() == changed

    def test_removed(self, opened: Opened, destination: Destination) -> None:
        opened.path.unlink()
        with pytest.raises(DestinationFailed, match="changed by hand"):
            destination.commit([{"id": 3}], State(cursor="after"))

    def test_moved_away_with_its_state(self, opened: Opened, destination: Destination) -> None:
        destination.close()
        for file in opened.path.parent.iterdir():
            file.rename(file.with_name(f"old-{file.name}"))
        again = opened()
        assert again.state().cursor is None
        again.commit([{"id": 1}], State(cursor="anew"))
        assert len(opened.lines()) == 1

    def test_its_state_is_gone(self, opened: Opened, destination: Destination) -> None:
        """The lines that are there stay there: they are somebody's data."""
        destination.close()
        for file in opened.path.parent.glob("*.state*"):
            file.unlink()
        before = opened.path.read_bytes()
        again = opened()
        again.commit([{"id": 3}], State(cursor="anew"))
        assert opened.path.read_bytes().startswith(before)
        assert [line["id"] for line in opened.lines()] == [1, 2, 3]

    def test_a_file_of_somebody_elses_without_a_last_newline(self, opened: Opened) -> None:
        opened.path.parent.mkdir()
        opened.path.write_bytes(b'{"id":0}')
        for _ in range(2):
            with pytest.raises(DestinationFailed, match="changed by hand"):
                opened()
        assert opened.path.read_bytes() == b'{"id":0}'


def test_what_a_crash_left_is_cut_off_when_it_is_opened(opened: Opened) -> None:
    opened().commit([{"id": 1}], State(cursor="before"))
    whole = opened.path.read_bytes()
    with opened.path.open("ab") as file:
        file.write(b'{"id":2}\n{"id":')
    opened()
    assert opened.path.read_bytes() == whole


def test_a_state_that_is_no_database(opened: Opened) -> None:
    opened.path.parent.mkdir()
    state = Path(f"{opened.path}.state")
    state.write_text("not a database " * 1000)
    with pytest.raises(DestinationFailed, match="move it away, or name another file"):
        opened()
    assert state.read_text() == "not a database " * 1000
