"""What a user's function may give, in the child's own code but without its process."""

import asyncio
import importlib
import json
import logging
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector import errors
from connector.jobs.channel import ChildChannel, Message
from connector.jobs.child import explain, open_writer, pull
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.records import UnusableRecord
from connector.jobs.destinations.rejecting import RecordsRejected
from connector.jobs.destinations.stream import State
from connector.jobs.newest import Newest
from connector.jobs.writing import BATCH_SIZE, Writer
from tests.unit.jobs.orders import an_order
from tests.unit.user_code import write_module


class Child:
    """A run in this process, with its parent's end in our hands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.parent, theirs = socket.socketpair()
        self.parent.setblocking(False)  # noqa: FBT003 - the method's own
        self.channel = ChildChannel(theirs, on_lost=lambda: None)
        self.writer: Writer | None = None
        self.told_schema: list[str] = []

    def run(self, code: str, *, run: str = "pulls:pull", **changes: object) -> list[Message]:
        """Run a function and give what the parent was told."""
        write_module(self.folder / "pulls.py", code)
        sys.modules.pop("pulls", None)
        importlib.invalidate_caches()
        order = an_order(self.folder, run=run, **changes)
        self.writer = open_writer(order, self.channel)
        try:
            asyncio.run(pull(order, self.writer, self.channel))
        finally:
            self.writer.close()
        told = self.told()
        self.told_schema = [str(one["message"]) for one in told if one["type"] == "schema"]
        return [one for one in told if one["type"] != "schema"]

    def told(self) -> list[Message]:
        """Give what the parent was told since it was asked last."""
        data = b""
        try:
            while chunk := self.parent.recv(1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        return [json.loads(line) for line in data.splitlines()]

    def rows(self, columns: str = "id") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / "ads.db")) as connection:
            query = f"SELECT {columns} FROM t ORDER BY id"  # noqa: S608 - columns of a test
            return connection.execute(query).fetchall()

    def aside(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.folder / "ads.db")) as connection:
            query = "SELECT reason, record FROM t_rejected ORDER BY reason, record"
            return connection.execute(query).fetchall()

    def close(self) -> None:
        self.parent.close()
        self.channel._reader.close()
        self.channel._connection.close()


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(Newest, "interval", 0.0)  # each commit is told
    logger = logging.getLogger("job")
    made = Child(tmp_path)
    yield made
    made.close()
    logger.handlers.clear()


SHAPES = {
    "async generator of records": "async def pull(api, context):\n  for i in R: yield R[i]",
    "async generator of batches": "async def pull(*_):\n  yield [R[1], R[2]]; yield [R[3]]",
    "async generator of both": "async def pull(api, context):\n  yield R[1]; yield [R[2], R[3]]",
    "coroutine that gives a list": "async def pull(api, context): return [R[1], R[2], R[3]]",
    "coroutine that gives batches": "async def pull(api, context): return [[R[1]], (R[2], R[3])]",
    "coroutine that gives a generator": "async def pull(api, context): return (R[i] for i in R)",
    "generator": "def pull(api, context):\n    yield from (R[1], R[2])\n    yield [R[3]]",
    "function that gives a list": "def pull(api, context): return [R[1], R[2], R[3]]",
    "function that gives an awaitable": (
        "async def later(): return [R[1], R[2], R[3]]\ndef pull(api, context): return later()"
    ),
    "class": "class pull(list):\n  def __init__(self, *_): super().__init__(R.values())",
}


class TestShapes:
    @pytest.mark.parametrize("code", SHAPES.values(), ids=SHAPES.keys())
    def test_records_are_written(self, child: Child, code: str) -> None:
        child.run(f"R = {{i: {{'id': i}} for i in (1, 2, 3)}}\n{code}")
        assert child.rows() == [(1,), (2,), (3,)]
        assert child.writer is not None
        assert child.writer.counts.records == 3

    @pytest.mark.parametrize("code", ["return None", "return []", "return iter(())", "return [[]]"])
    def test_nothing_is_nothing(self, child: Child, code: str) -> None:
        told = child.run(f"def pull(api, context): {code}")
        assert told == []

    @pytest.mark.parametrize(
        ("code", "says"),
        [
            ("return {'id': 1}", "gave dict, not records"),
            ("return 'text'", "gave str, not records"),
            ("return 7", "gave int, not records"),
            ("return ['text']", "yielded str, not a record"),
            ("return [7]", "yielded int, not a record"),
            ("return [None]", "yielded NoneType, not a record"),
        ],
    )
    def test_junk_is_named(self, child: Child, code: str, says: str) -> None:
        with pytest.raises(UnusableRecord, match=says):
            child.run(f"def pull(api, context): {code}")

    def test_what_is_no_record_is_set_aside(self, child: Child) -> None:
        told = child.run("def pull(api, context): return [[{'id': 1}, {'n': 1}, 'text']]")
        assert child.rows() == [(1,)]
        assert (told[-1]["records"], told[-1]["rejected"]) == (1, 2)
        assert told[-1]["rejection"] == "lacks id, part of its key"
        assert child.aside() == [
            ("is str, not a mapping", '"text"'),
            ("lacks id, part of its key", '{"n":1}'),
        ]

    @pytest.mark.parametrize(
        ("code", "says", "kept"),
        [
            ("[[{'n': 1}, {'n': 2}]]", "none of the first 2 records could be written", []),
            ("[[{'id': 1}], [{'n': i} for i in range(3)]]", "3 records could not be written", [1]),
            ("[[{'id': 1}], [{'n': 1}, {'n': 2}, {'id': 2}, {'n': 3}]]", "more than max_rej", [1]),
        ],
    )
    def test_too_many_end_the_run(
        self, child: Child, code: str, says: str, kept: list[int]
    ) -> None:
        """They are set aside, and the run that comes next begins with their page."""
        with pytest.raises(RecordsRejected, match=f"{says}.*lacks id.*they are in t_rejected"):
            child.run(
                f"def pull(api, context):\n  for p in {code}:\n    yield p\n"
                "    context.cursor = len(p)\n  yield []"
            )
        assert len(child.aside()) == code.count("'n'") if "range" not in code else 3
        child.run("def pull(api, context): return [{'id': 9}]")
        assert [row[0] for row in child.rows()] == [*kept, 9]

    def test_a_table_that_was_made_is_told(self, child: Child) -> None:
        child.run("def pull(api, context): return [[{'id': 1}], [{'id': 2, 'n': 1.5}]]")
        assert child.told_schema == [
            "table t is new: 2 columns",
            "column n of t is new, because of 1.5 in record 1 of page 2",
        ]

    def test_clients_are_of_the_functions_kind(self, child: Child) -> None:
        code = """
        async def one(api, context):
            return [{"id": type(api).__name__, "url": str(api.base_url)}]
        def two(api, context):
            return [{"id": type(api).__name__, "url": str(api.base_url)}]
        """
        child.run(code, run="pulls:one")
        child.run(code, run="pulls:two")
        assert child.rows() == [("AsyncClient",), ("Client",)]


class TestCommits:
    def test_a_batch_is_committed_at_once(self, child: Child) -> None:
        told = child.run("async def pull(api, context):\n  for i in (1, 2): yield [{'id': i}]")
        assert [(one["type"], one["records"], one["batches"]) for one in told] == [
            ("progress", 1, 1),
            ("progress", 2, 2),
        ]

    def test_single_records_are_committed_by_the_thousand(self, child: Child) -> None:
        count = BATCH_SIZE * 2 + 1
        told = child.run(f"def pull(api, context):\n  for i in range({count}): yield {{'id': i}}")
        assert [one["records"] for one in told] == [BATCH_SIZE, 2 * BATCH_SIZE, count]

    @pytest.mark.parametrize("what", ["record", "[record]", "(r for r in [record])"])
    def test_a_record_that_is_used_again(self, child: Child, what: str) -> None:
        code = f"""
        def pull(api, context):
            record = {{"tags": []}}
            for number in range(5):
                record["id"] = number
                record["tags"].append(number)
                yield {what}
        """
        child.run(code)
        assert child.rows() == [(0,), (1,), (2,), (3,), (4,)]
        assert child.rows("tags")[:3] == [("[0]",), ("[0,1]",), ("[0,1,2]",)]

    def test_what_was_committed_stays(self, child: Child) -> None:
        code = """
        def pull(api, context):
            yield [{"id": 1}]
            context.cursor = 1
            yield [{"id": 2}]
            context.cursor = 2
            yield {"id": 3}
            raise ValueError("boom")
        """
        with pytest.raises(ValueError, match="boom"):
            child.run(code)
        assert child.rows() == [(1,), (2,)]
        assert child.writer is not None
        assert child.writer.state == State(cursor=1)
        assert (child.writer.counts.records, child.writer.counts.batches) == (2, 2)


class TestCursor:
    def test_goes_with_what_was_yielded_before(self, child: Child) -> None:
        code = """
        def pull(api, context):
            start = context.cursor or 0
            for i in range(start, start + 3):
                context.cursor = i + 1
                yield [{"id": i}]
        """
        first, second = child.run(code), child.run(code)
        assert [one["cursor"] for one in first] == [1, 2, 3]
        assert [one["cursor"] for one in second] == [4, 5, 6]
        assert len(child.rows()) == 6

    def test_assigned_last_it_is_committed_at_the_end(self, child: Child) -> None:
        told = child.run(
            "async def pull(api, context):\n  yield [{'id': 1}]\n  context.cursor = {'at': [1]}"
        )
        assert [one["cursor"] for one in told] == [None, {"at": [1]}]
        assert [one["batches"] for one in told] == [1, 2]

    def test_changed_in_place_it_has_moved(self, child: Child) -> None:
        code = """
        def pull(api, context):
            context.cursor = context.cursor or {"pages": []}
            yield [{"id": len(context.cursor["pages"])}]
            context.cursor["pages"].append("x")
        """
        for _ in range(3):
            child.run(code)
        assert child.rows() == [(0,), (1,), (2,)]

    def test_set_back_to_none_it_begins_anew(self, child: Child) -> None:
        code = """
        def pull(api, context):
            yield [{"id": str(context.cursor)}]
            context.cursor = None if context.cursor else "x"
        """
        told = [child.run(code, key=[]) for _ in range(3)]
        assert child.rows() == [("None",), ("None",), ("x",)]
        assert [one[-1]["cursor"] for one in told] == ["x", None, "x"]

    def test_a_person_may_set_it_back(self, child: Child) -> None:
        code = """
        def pull(api, context):
            yield [{"id": context.cursor}]
            if context.cursor != "2026": context.cursor = "2027"
        """
        child.run(code, key=[])
        child.run(code, since="2026", key=[])
        child.run(code, key=[])
        assert child.rows() == [(None,), ("2026",), ("2027",)], "it stays as it was committed"

    @pytest.mark.parametrize("value", ["object()", "float('nan')", "{1, 2}", "b'x'"])
    def test_has_to_be_json(self, child: Child, value: str) -> None:
        with pytest.raises(UnusableRecord, match="the cursor cannot be written as JSON"):
            child.run(f"def pull(api, context):\n  yield [{{'id': 1}}]\n  context.cursor = {value}")
        assert child.rows() == [(1,)]
        assert child.writer is not None
        assert child.writer.state.cursor is None


class TestCheckpoint:
    CODE = """
    def pull(api, context):
        page = context.checkpoint or 0
        while page < 4:
            if page == context.options["dies_at"]:
                raise ValueError("boom")
            page += 1
            context.checkpoint = page
            yield [{"id": f"{page} of {context.run_id}"}]
    """

    def test_the_next_run_begins_there(self, child: Child) -> None:
        with pytest.raises(ValueError, match="boom"):
            child.run(self.CODE, options={"dies_at": 2})
        child.run(self.CODE, options={"dies_at": 9}, run_id="2")
        assert child.rows() == [("1 of 1",), ("2 of 1",), ("3 of 2",), ("4 of 2",)]

    def test_the_end_clears_it(self, child: Child) -> None:
        child.run(self.CODE, options={"dies_at": 9})
        assert child.writer is not None
        assert child.writer.state == State()

    def test_a_person_who_sets_the_cursor_begins_anew(self, child: Child) -> None:
        with pytest.raises(ValueError, match="boom"):
            child.run(self.CODE, options={"dies_at": 2})
        child.run(self.CODE, options={"dies_at": 9}, run_id="2", since="2026")
        assert len(child.rows()) == 6

    def test_has_to_be_json(self, child: Child) -> None:
        code = "def pull(api, context):\n  context.checkpoint = {1, 2}\n  yield [{'id': 1}]"
        with pytest.raises(UnusableRecord, match="the checkpoint cannot be written as JSON"):
            child.run(code)


class TestContext:
    def test_the_time_that_a_person_asks_for(self, child: Child) -> None:
        code = """
        def pull(api, context):
            window = context.window
            yield [{"id": f"{window and (window.since, window.until)}"}]
        """
        child.run(code)
        child.run(code, since="2026-01-01", until="2026-02-01", lane="x")
        assert child.rows() == [("('2026-01-01', '2026-02-01')",), ("None",)]

    def test_progress_goes_with_the_next_batch(self, child: Child) -> None:
        code = """
        def pull(api, context):
            context.progress(0.5, "half")
            yield [{"id": 1}]
        """
        (told,) = child.run(code)
        assert told["place"] == {"done": 0.5, "text": "half"}

    def test_says_whose_run_it_is(self, child: Child) -> None:
        code = """
        def pull(api, context):
            text = f"{context.job} {context.account} {context.run_id} {context.options['limit']}"
            return [{"id": text}]
        """
        child.run(code)
        assert child.rows() == [("pull acme/ads 1 5",)]

    def test_log_lines_go_to_the_parent(self, child: Child) -> None:
        code = """
        def pull(api, context):
            context.logger.info("page %d of %d", 1, 2)
            context.logger.debug("small print")
            try:
                raise LookupError("gone")
            except LookupError:
                context.logger.exception("went on")
            context.logger.info("%d", "no number")
        """
        first, second, third = child.run(code)
        assert (first["type"], first["level"], first["message"]) == ("log", 20, "page 1 of 2")
        assert second["level"] == logging.DEBUG
        assert str(third["message"]).startswith("went on\nTraceback")
        assert "LookupError: gone" in str(third["message"])


class TestExplain:
    def explained(self, child: Child, work: Callable[[], object]) -> tuple[str, str]:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the test looks at it
            work()
        return explain(caught.value, str(child.folder))

    def test_a_bug_with_its_line(self, child: Child) -> None:
        code = (
            "import json\ndef pull(api, context):\n    inner()\ndef inner():\n    json.loads('{')\n"
        )
        kind, text = self.explained(child, lambda: child.run(code))
        assert kind == "Callable"
        assert text.startswith("JSONDecodeError: Expecting property name")
        assert text.endswith(f"({child.folder}/pulls.py, line 5)"), "not the library's line"

    def test_an_error_of_the_system_in_the_function_is_the_functions(self, child: Child) -> None:
        code = "def pull(api, context):\n    open('/none')"
        kind, text = self.explained(child, lambda: child.run(code))
        assert (kind, text.partition(":")[0]) == ("Callable", "FileNotFoundError")

    @pytest.mark.parametrize(
        ("run", "says"),
        [
            ("missing:pull", "ModuleNotFoundError: No module named 'missing'"),
            ("pulls:missing", "AttributeError: module 'pulls' has no attribute 'missing'"),
            ("pulls:NUMBER", "ImportError: pulls:NUMBER is not callable"),
        ],
    )
    def test_what_cannot_be_found(self, child: Child, run: str, says: str) -> None:
        kind, text = self.explained(child, lambda: child.run("NUMBER = 1", run=run))
        assert kind == "Callable"
        assert text.startswith(says)

    def test_a_module_that_does_not_load(self, child: Child) -> None:
        for code, says in (("1 / 0", "ZeroDivisionError"), ("def", "SyntaxError")):
            kind, text = self.explained(child, partial(child.run, code))
            assert kind == "Callable"
            assert text.startswith(says)

    def test_the_destination(self, child: Child) -> None:
        (child.folder / "file").write_text("")
        url = f"sqlite:///{child.folder}/file/ads.db"
        work = lambda: child.run("def pull(api, context): return []", destination=url)  # noqa: E731
        kind, text = self.explained(child, work)
        assert kind == "Destination"
        assert "file" in text

    def test_records(self, child: Child) -> None:
        assert explain(UnusableRecord("record 1 is str"), str(child.folder)) == (
            "UnusableRecord",
            "record 1 is str",
        )
        assert explain(DestinationFailed("OSError: full"), "/") == ("Destination", "OSError: full")

    def test_our_own_errors(self) -> None:
        error = errors.ConsentRequired("acme/ads", "it ended", provider="acme")
        assert explain(error, "/") == ("ConsentRequired", str(error))

    def test_an_error_that_was_raised_nowhere(self) -> None:
        assert explain(KeyError("x"), "/") == ("Callable", "KeyError: 'x'")
