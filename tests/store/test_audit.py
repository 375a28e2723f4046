"""The audit trail: nothing in it can be changed by who has not the vault's key, unnoticed."""

# ruff: noqa: S608 - statements of our own

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector.secret import Secret
from connector.store.audit import AuditStore
from connector.store.audit_chain import COLUMNS, DoesNotFit, Head, make_row
from connector.store.audit_entry import EVENTS, Actor, Entry, acting_as
from connector.store.audit_mark import AuditMark
from connector.store.audit_walk import Verified
from connector.store.vault_keys import make_data_key
from connector.testing import SOME_TIME, MemorySeal, Stores, open_stores
from connector.vault.seal import Seal
from connector.vault.vault import create_vault

from .conftest import OpenDatabase
from .scenarios import KEY
from .worker import Crew, Worker

ME = Actor(kind="uid", name="1000", through="a test")
ENTRIES = [
    Entry(event="vault.made", detail={"seal": "the memory of a test", "key": 1}),
    Entry(event="consent.given", account="acme/one", account_id="17", outcome="connected"),
    Entry(event="token.released", account="acme/one", account_id="17", fingerprint="f", count=9),
    Entry(event="account.revoked", account="acme/two", actor=Actor(kind="job", name="pull")),
    Entry(event="account.forgotten", account="acme/two", detail={"kept_grant": True}),
]
#: A value of the column that is another one than any row has, as SQL.
OTHERS = {
    "number": "99",
    "at": "at + 1",
    "event": "'consent.refused'",
    "account": "'acme/other'",
    "account_id": "'18'",
    "actor": "'uid:0'",
    "through": "'another'",
    "outcome": "'denied'",
    "fingerprint": "'0'",
    "times": "times + 1",
    "detail": "detail || ' '",
    "chain": "(SELECT chain FROM audit AS other WHERE other.number = 1 + audit.number % 5)",
}


@pytest.fixture
def mark(stores: Stores, tmp_path: Path) -> AuditMark:
    return AuditMark(tmp_path / "journal", stores.vault.store_id)


@pytest.fixture
def trail(stores: Stores) -> AuditStore:
    """Without a mark: all that the database alone can show."""
    return AuditStore(stores.database, stores.vault, ME)


@pytest.fixture
def marked(stores: Stores, mark: AuditMark) -> AuditStore:
    return AuditStore(stores.database, stores.vault, ME, mark)


async def fill(trail: AuditStore, entries: Sequence[Entry] = ENTRIES) -> None:
    for number, entry in enumerate(entries):
        await trail.append([entry], now=SOME_TIME + number)


async def execute(stores: Stores, *statements: str, **parameters: object) -> None:
    """Do what somebody does who can write to the database and has no key."""
    async with stores.database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement), parameters)


async def fetch(stores: Stores, query: str) -> list[Any]:
    async with stores.database.read() as connection:
        return list((await connection.execute(text(query))).all())


async def fault(trail: AuditStore) -> str:
    found = (await trail.verify()).fault
    assert found is not None, "nothing was noticed"
    return found


async def test_a_trail_as_it_was_written_fits(trail: AuditStore) -> None:
    nothing = Verified(rows=0, first_at=None, last_at=None, removed=0, fault=None)
    assert await trail.verify() == nothing
    await fill(trail)
    told: list[int] = []
    assert await trail.verify(told.append) == Verified(
        rows=5, first_at=SOME_TIME, last_at=SOME_TIME + 4, removed=0, fault=None
    )
    assert sum(told) == await trail.count() == 5


async def test_what_a_row_says(trail: AuditStore) -> None:
    await fill(trail)
    forgotten, revoked, released, given, made = [row async for row in trail.newest_first()]
    assert (made.number, made.event, made.at) == (1, "vault.made", SOME_TIME)
    assert (made.actor, made.through, made.account) == ("uid:1000", "a test", None)
    assert made.detail == '{"key":1,"seal":"the memory of a test"}'
    assert (given.account, given.account_id, given.outcome) == ("acme/one", "17", "connected")
    assert (released.fingerprint, released.times) == ("f", 9)
    assert (revoked.actor, revoked.through) == ("job:pull", None)
    assert (forgotten.number, forgotten.detail) == (5, '{"kept_grant":true}')


async def test_a_row_says_when_it_happened_not_when_it_was_written(trail: AuditStore) -> None:
    await trail.append([Entry(event="account.revoked", at=SOME_TIME - 9)], now=SOME_TIME)
    assert (await trail.verify()).last_at == SOME_TIME - 9


async def test_any_column_of_any_row_that_is_altered_is_noticed(
    stores: Stores, trail: AuditStore
) -> None:
    await fill(trail)
    altered = "row {} was altered, or is in the place of another one"
    for number in range(1, 6):
        (row,) = await fetch(stores, f"SELECT * FROM audit WHERE number = {number}")
        for column in (*COLUMNS, "chain"):
            place = OTHERS["number"] if column == "number" else number
            alter = f'UPDATE audit SET "{column}" = {OTHERS[column]} WHERE number = {number}'
            await execute(stores, alter)
            expected = altered.format(number)
            if column == "number":
                expected = "rows 5 to 98 are missing" if number == 5 else f"row {number} is missing"
            assert await fault(trail) == expected, column
            back = f'UPDATE audit SET "{column}" = :before WHERE number = {place}'
            await execute(stores, back, before=row._mapping[column])
        assert (await trail.verify()).fault is None, "it was put back"


async def test_nothing_and_an_empty_text_are_not_the_same(
    stores: Stores, trail: AuditStore
) -> None:
    await trail.append([Entry(event="vault.made", actor=Actor(kind="peer", name="x"))], now=1.0)
    for column in ("account", "account_id", "outcome", "fingerprint", "through"):
        await execute(stores, f"UPDATE audit SET {column} = ''")
        assert await fault(trail) == "row 1 was altered, or is in the place of another one"
        await execute(stores, f"UPDATE audit SET {column} = NULL")
        assert (await trail.verify()).fault is None


async def test_what_moves_from_one_column_to_the_next_is_noticed(
    stores: Stores, trail: AuditStore
) -> None:
    """As it would not be if the columns were written behind each other, each after its type."""
    await trail.append([Entry(event="consent.given", account="asb", account_id="c")], now=1.0)
    await execute(stores, "UPDATE audit SET account = 'a', account_id = 'bsc'")
    assert await fault(trail) == "row 1 was altered, or is in the place of another one"


@pytest.mark.parametrize("number", range(1, 5))
async def test_a_row_that_was_removed_is_noticed(
    stores: Stores, trail: AuditStore, number: int
) -> None:
    await fill(trail)
    await execute(stores, f"DELETE FROM audit WHERE number = {number}")
    assert await fault(trail) == f"row {number} is missing"


@pytest.mark.parametrize("number", range(1, 5))
async def test_a_row_that_was_removed_and_its_gap_closed_is_noticed(
    stores: Stores, trail: AuditStore, number: int
) -> None:
    await fill(trail)
    await execute(stores, f"DELETE FROM audit WHERE number = {number}")
    for later in range(number + 1, 6):
        await execute(stores, f"UPDATE audit SET number = {later - 1} WHERE number = {later}")
    assert await fault(trail) == f"row {number} was altered, or is in the place of another one"


@pytest.mark.parametrize(("one", "other"), [(1, 2), (2, 4), (4, 5), (1, 5)])
async def test_rows_that_changed_places_are_noticed(
    stores: Stores, trail: AuditStore, one: int, other: int
) -> None:
    await fill(trail)
    await execute(
        stores,
        f"UPDATE audit SET number = 99 WHERE number = {one}",
        f"UPDATE audit SET number = {one} WHERE number = {other}",
        f"UPDATE audit SET number = {other} WHERE number = 99",
    )
    assert await fault(trail) == f"row {one} was altered, or is in the place of another one"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, "row 0 is one too many"),
        (-7, "row -7 is one too many"),
        (6, "row 6 was altered, or is in the place of another one"),
        (8, "rows 6 to 7 are missing"),
    ],
)
async def test_a_row_written_by_hand_is_noticed(
    stores: Stores, trail: AuditStore, number: int, expected: str
) -> None:
    await fill(trail)
    columns = ", ".join(f'"{name}"' for name in (*COLUMNS, "chain") if name != "number")
    copy = f"SELECT {number}, {columns} FROM audit WHERE number = 3"
    await execute(stores, f"INSERT INTO audit (number, {columns}) {copy}")
    assert await fault(trail) == expected


async def test_values_of_other_types_do_not_fit_and_stop_nobody(
    stores: Stores, trail: AuditStore
) -> None:
    """SQLite takes any value in any column."""
    if not stores.database.is_sqlite:
        pytest.skip("Postgres takes no such value")
    await fill(trail)
    for column in ("number", "at", "event", "times", "detail", "chain"):
        await execute(stores, f"UPDATE audit SET \"{column}\" = 'x' WHERE number = 5")
        assert (await trail.verify()).fault is not None
        await execute(stores, f"UPDATE audit SET \"{column}\" = X'00FF' WHERE number = 5")
        assert (await trail.verify()).fault is not None


async def test_rows_of_another_vault_do_not_fit(stores: Stores, trail: AuditStore) -> None:
    seal: Seal = MemorySeal()
    another, _root, _data = create_vault(seal, stores.vault.store_id)
    await AuditStore(stores.database, another, ME).append(ENTRIES, now=SOME_TIME)
    assert await fault(trail) == "row 1 was altered, or is in the place of another one"


async def test_a_new_data_key_changes_nothing(open_database: OpenDatabase) -> None:
    stores = await open_stores(open_database(), MemorySeal(KEY))
    trail = AuditStore(stores.database, stores.vault, ME)
    await fill(trail)
    await make_data_key(stores.database, stores.vault, now=SOME_TIME)
    await fill(trail)
    again = await open_stores(open_database(), MemorySeal(KEY))
    assert again.vault.current_key_id == 2
    verified = await AuditStore(again.database, again.vault, ME).verify()
    assert (verified.rows, verified.fault) == (10, None)


class TestEnd:
    """What the rows alone cannot show: that there were more of them."""

    async def test_without_a_mark_nothing_shows_that_the_end_was_cut_off(
        self, stores: Stores, trail: AuditStore
    ) -> None:
        await fill(trail)
        await execute(stores, "DELETE FROM audit WHERE number > 3")
        assert (await trail.verify()).fault is None

    @pytest.mark.parametrize(
        ("left", "expected"), [(4, "row 5 is"), (3, "rows 4 to 5 are"), (0, "rows 1 to 5 are")]
    )
    async def test_with_it_that_is_noticed(
        self, stores: Stores, marked: AuditStore, left: int, expected: str
    ) -> None:
        await fill(marked)
        assert (await marked.verify()).fault is None
        await execute(stores, f"DELETE FROM audit WHERE number > {left}")
        assert await fault(marked) == f"{expected} missing: the end of the trail was cut off"

    @pytest.mark.parametrize("more", [1, 2, 4])
    async def test_it_is_noticed_too_after_others_were_appended(
        self,
        stores: Stores,
        marked: AuditStore,
        more: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        await fill(marked)
        await execute(stores, "DELETE FROM audit WHERE number > 3")
        for number in range(more):
            await marked.append([ENTRIES[number]], now=SOME_TIME + 9)
        found = await fault(marked)
        assert "the end of the trail was cut off" in found
        assert "row 5 is" in found
        told = [record.message for record in caplog.records]
        assert len([text for text in told if "the audit trail has gone back: row 5" in text]) == 1

    async def test_who_has_looked_into_it_removes_the_mark(
        self, stores: Stores, marked: AuditStore, mark: AuditMark
    ) -> None:
        await fill(marked)
        await execute(stores, "DELETE FROM audit WHERE number > 3")
        mark.path.unlink()
        assert (await marked.verify()).fault is None
        await fill(marked)
        assert (await marked.verify()).fault is None
        assert (mark.read() or Head(number=0, chain=b"")).number == 8

    async def test_what_another_host_appended_is_no_fault(
        self, marked: AuditStore, trail: AuditStore
    ) -> None:
        await fill(marked)
        await fill(trail)
        assert (await marked.verify()).fault is None
        await fill(marked)
        assert (await marked.verify()).rows == 15

    async def test_a_torn_mark_is_none(
        self, marked: AuditStore, mark: AuditMark, stores: Stores
    ) -> None:
        await fill(marked)
        whole = mark.path.read_bytes()
        for torn in (b"", whole[:-1], whole[:10], b"\1" + whole[1:], whole[:-1]):
            mark.path.write_bytes(torn)
            assert mark.read() is None
        await execute(stores, "DELETE FROM audit WHERE number > 3")
        await fill(marked, ENTRIES[:1])
        assert (mark.read() or Head(number=0, chain=b"")).number == 4

    def test_an_older_head_does_not_replace_a_newer_one(self, mark: AuditMark) -> None:
        newer, older = (Head(number=number, chain=bytes([number]) * 32) for number in (7, 6))
        mark.note(newer)
        mark.note(older)
        assert mark.read() == newer
        assert mark.path.stat().st_mode & 0o777 == 0o600

    async def test_where_it_cannot_be_written_the_trail_is(
        self, marked: AuditStore, mark: AuditMark
    ) -> None:
        mark.path.parent.write_text("no folder")
        await fill(marked)
        assert (await marked.verify()).rows == 5


class TestPruning:
    async def test_older_rows_go_and_the_rest_fits(
        self, marked: AuditStore, stores: Stores
    ) -> None:
        await fill(marked)
        assert await marked.prune(SOME_TIME + 2) == 2
        assert [row.number async for row in marked.newest_first()] == [5, 4, 3]
        assert await marked.verify() == Verified(
            rows=3, first_at=SOME_TIME + 2, last_at=SOME_TIME + 4, removed=2, fault=None, noted=5
        )
        assert await marked.prune(SOME_TIME + 2) == 0
        assert await marked.prune(SOME_TIME + 3) == 1
        await fill(marked)
        assert (await marked.verify()).rows == 7
        assert len(await fetch(stores, "SELECT * FROM audit_anchor")) == 1

    async def test_the_newest_row_stays(self, marked: AuditStore) -> None:
        await fill(marked)
        assert await marked.prune(SOME_TIME + 999) == 4
        assert (await marked.verify()).rows == 1
        await fill(marked)
        assert (await marked.verify()).rows == 6

    async def test_in_batches(self, marked: AuditStore, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("connector.store.audit.BATCH", 2)
        await fill(marked, ENTRIES * 3)
        assert [row.number async for row in marked.newest_first()] == list(range(15, 0, -1))
        assert (await marked.verify()).rows == 15
        assert await marked.prune(SOME_TIME + 11) == 11
        assert (await marked.verify()).rows == 4

    async def test_a_row_that_was_written_late_keeps_those_behind_it(
        self, marked: AuditStore
    ) -> None:
        """Rows go from the beginning only."""
        await marked.append([Entry(event="vault.made", at=SOME_TIME + 50)], now=SOME_TIME)
        await fill(marked)
        assert await marked.prune(SOME_TIME + 10) == 0

    @pytest.mark.parametrize(
        "statement",
        [
            "UPDATE audit_anchor SET number = 3",
            "UPDATE audit_anchor SET number = 1",
            "UPDATE audit_anchor SET chain = (SELECT chain FROM audit WHERE number = 3)",
            "UPDATE audit_anchor SET proof = (SELECT chain FROM audit WHERE number = 3)",
        ],
    )
    async def test_an_anchor_that_was_altered_is_noticed(
        self, trail: AuditStore, stores: Stores, statement: str
    ) -> None:
        await fill(trail)
        await trail.prune(SOME_TIME + 2)
        await execute(stores, statement)
        assert "the anchor, which says where the trail begins, was altered" in await fault(trail)

    async def test_who_has_no_key_cannot_cut_off_the_beginning(
        self, trail: AuditStore, stores: Stores
    ) -> None:
        await fill(trail)
        await execute(
            stores,
            "INSERT INTO audit_anchor (id, number, chain, proof)"
            " SELECT 1, number, chain, chain FROM audit WHERE number = 3",
            "DELETE FROM audit WHERE number <= 3",
        )
        assert "the anchor" in await fault(trail)
        await execute(stores, "DELETE FROM audit_anchor")
        assert await fault(trail) == "rows 1 to 3 are missing"

    async def test_an_older_anchor_does_not_fit(self, trail: AuditStore, stores: Stores) -> None:
        await fill(trail)
        await trail.prune(SOME_TIME + 1)
        ((number, chain, proof),) = await fetch(
            stores, "SELECT number, chain, proof FROM audit_anchor"
        )
        await trail.prune(SOME_TIME + 3)
        statement = "UPDATE audit_anchor SET number = :number, chain = :chain, proof = :proof"
        await execute(stores, statement, number=number, chain=bytes(chain), proof=bytes(proof))
        assert await fault(trail) == "rows 2 to 3 are missing"

    async def test_that_all_is_missing_after_it_is_noticed(
        self, trail: AuditStore, stores: Stores
    ) -> None:
        await fill(trail)
        await trail.prune(SOME_TIME + 2)
        await execute(stores, "DELETE FROM audit")
        assert await fault(trail) == "all rows after number 2 are missing"

    async def test_what_does_not_fit_is_not_removed(
        self, trail: AuditStore, stores: Stores
    ) -> None:
        await fill(trail)
        await execute(stores, "UPDATE audit SET actor = 'uid:0' WHERE number = 2")
        with pytest.raises(DoesNotFit, match="row 2 was altered"):
            await trail.prune(SOME_TIME + 4)
        assert await trail.count() == 5

    async def test_what_is_removed_meanwhile_is_no_fault(
        self, marked: AuditStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await fill(marked)
        read, is_first = marked._read, True

        async def read_and_let_others_prune(*arguments: Any, **parameters: Any) -> Any:
            nonlocal is_first
            rows = await read(*arguments, **parameters)
            if is_first:
                is_first = False
                await marked.prune(SOME_TIME + 3)
            return rows

        monkeypatch.setattr(marked, "_read", read_and_let_others_prune)
        verified = await marked.verify()
        assert (verified.rows, verified.removed, verified.fault) == (2, 3, None)


class TestWriters:
    async def test_four_processes_at_once_keep_one_chain_without_a_gap(
        self, open_database: OpenDatabase, workers: Crew, address: str
    ) -> None:
        stores = await open_stores(open_database(), MemorySeal(KEY))
        orders: list[dict[str, object]] = [
            {"url": address, "name": f"acme/{number}", "times": 25} for number in range(4)
        ]
        appended = await asyncio.to_thread(workers.run, "append_often", orders)
        assert appended == [50] * 4
        trail = AuditStore(stores.database, stores.vault, ME)
        assert (await trail.verify()) == Verified(
            rows=200, first_at=SOME_TIME, last_at=SOME_TIME, removed=0, fault=None
        )
        assert len({row.actor async for row in trail.newest_first()}) == 4

    async def test_a_writer_that_is_killed_leaves_none_half(
        self, open_database: OpenDatabase, worker: Worker, address: str
    ) -> None:
        stores = await open_stores(open_database(), MemorySeal(KEY))
        trail = AuditStore(stores.database, stores.vault, ME)
        await fill(trail)
        worker.order("die_while_appending", url=address)
        worker.wait_until_ready()
        worker.go()
        worker.wait_until_dead()
        assert (await trail.verify()).rows == 5
        await fill(trail)
        verified = await trail.verify()
        assert (verified.rows, verified.fault) == (10, None)

    async def test_it_is_verified_while_others_append(
        self, marked: AuditStore, stores: Stores, mark: AuditMark
    ) -> None:
        other = AuditStore(stores.database, stores.vault, ME, mark)

        async def append() -> None:
            for _ in range(30):
                await other.append(ENTRIES, now=SOME_TIME)

        appending = asyncio.create_task(append())
        while not appending.done():
            assert (await marked.verify()).fault is None
        await appending
        assert (await marked.verify()).rows == 150

    async def test_rows_are_written_with_the_change_that_they_tell_of_or_not_at_all(
        self, trail: AuditStore, stores: Stores
    ) -> None:
        async def change_and_fail() -> None:
            async with stores.database.write() as connection:
                await connection.run_sync(trail.append_within, ENTRIES, now=SOME_TIME)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await change_and_fail()
        assert await trail.count() == 0


class TestEntries:
    def row(self, stores: Stores, entry: Entry) -> dict[str, object]:
        beginning = Head(number=0, chain=bytes(32))
        row, _head = make_row(stores.vault, beginning, entry, actor=ME, at=SOME_TIME)
        return row

    def test_the_columns_are_those_of_the_chain(self, stores: Stores) -> None:
        assert tuple(self.row(stores, ENTRIES[0])) == (*COLUMNS, "chain")

    def test_a_field_that_is_not_on_the_list_is_left_out(self, stores: Stores) -> None:
        detail = {"token": "canary", "key": 1, "error": Secret("canary"), "seal": b"canary"}
        row = self.row(stores, Entry(event="vault.made", detail=detail))
        assert row["detail"] == '{"error":"<Secret>","key":1,"seal":"<bytes>"}'

    def test_no_text_can_break_a_line_or_a_database(self, stores: Stores) -> None:
        odd = "a\0b\nc\x1b[1m\ud800" + "x" * 500
        row = self.row(stores, Entry(event="consent.refused", outcome=odd, detail={"error": odd}))
        for text_ in (row["outcome"], row["detail"]):
            assert isinstance(text_, str)
            assert text_.isprintable()
            assert text_.encode()
            assert len(text_) < 1500

    def test_every_event_is_a_kind_and_what_happened(self) -> None:
        assert all(event.count(".") == 1 and text_ for event, text_ in EVENTS.items())

    async def test_who_is_acted_for_is_known_in_the_tasks_that_begin_there(self) -> None:
        from connector.store.audit_entry import acting

        async def who() -> Actor | None:
            return acting()

        with acting_as(ME):
            task = asyncio.create_task(who())
        assert await task == ME
        assert acting() is None
