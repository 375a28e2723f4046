"""Runs of jobs as people look at them: a page at a time, by day, and the last one of each.

Every query here reads as many rows as it gives, by an index, however many there are; only what the
days of a job brought is added up, and days that are over are added up once.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Executable,
    Integer,
    Select,
    case,
    cast,
    func,
    select,
    text,
    tuple_,
    union_all,
)
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import RunRow
from connector.store.runs import Run, read_run

DAY: Final = 86_400.0
#: What a person may ask for: a state, or all of those in which something went wrong.
STATES: Final[Mapping[str, str]] = {
    # word for word as partial indexes have them: no parameter, or none of them would be used
    "queued": "outcome IN ('queued', 'running') AND outcome = 'queued'",
    "running": "outcome IN ('queued', 'running') AND outcome = 'running'",
    "succeeded": "outcome = 'succeeded'",
    "failed": "outcome IN ('consent_required', 'failed', 'interrupted')",
}
_IS_FAILED: Final = text(STATES["failed"])
#: A run may be under way over midnight: days count as over when they are so many days ago.
_OPEN_DAYS: Final = 2
_KEY: Final = re.compile(r"(?P<at>[0-9]{1,12}(?:\.[0-9]{1,9})?)-(?P<id>[0-9a-f]{1,64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunChoice:
    """Which runs are wanted.

    Attributes:
        job: its name; empty: any.
        account: the account's name; empty: any.
        state: one of `STATES`; empty: any.
    """

    job: str = ""
    account: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Some of the runs that were chosen, the newest first.

    Attributes:
        runs: themselves.
        older, newer: the keys by which those before and after them are asked for; empty: none.
    """

    runs: list[Run]
    older: str
    newer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDay:
    """What the runs of a job brought that began on one day.

    Attributes:
        day: days since the epoch, in UTC.
        runs, failed: how many there were, and how many of them did not succeed.
        records: that they have written.
    """

    day: int
    runs: int
    failed: int
    records: int


class RunHistory:
    """Reads runs.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._days: dict[str, dict[int, RunDay]] = {}
        self._since: dict[str, int] = {}

    async def get(self, run_id: str) -> Run | None:
        """Give a run, or None.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        rows = await self._read(select(RunRow).where(col(RunRow.id) == run_id))
        return read_run(rows[0]) if rows else None

    async def page(
        self, choice: RunChoice, *, limit: int, before: str = "", after: str = ""
    ) -> RunPage:
        """Give a page of runs.

        Args:
            choice: which ones.
            limit: how many at most.
            before: the key of a page: runs that are older.
            after: the key of a page: runs that are newer.
        """
        rows = await self._read(find_runs(choice, limit=limit + 1, before=before, after=after))
        is_going_back = bool(_parse_key(after)) and not before
        has_more, rows = len(rows) > limit, rows[:limit]
        runs = [read_run(row) for row in (reversed(rows) if is_going_back else rows)]
        if not runs:
            return RunPage(runs=[], older="", newer="")
        is_first = not is_going_back and _parse_key(before) is None
        return RunPage(
            runs=runs,
            older=_key(runs[-1]) if has_more or is_going_back else "",
            newer="" if is_first or (is_going_back and not has_more) else _key(runs[0]),
        )

    async def last(self, jobs: Iterable[str]) -> dict[str, Run]:
        """Give the last run of each of some jobs."""
        found = [await self._read(find_runs(RunChoice(job=job), limit=1)) for job in jobs]
        return {rows[0].job: read_run(rows[0]) for rows in found if rows}

    async def last_of_accounts(self, job: str, accounts: Sequence[str]) -> dict[str, Run]:
        """Give the last run of a job for each of some accounts (a page of them)."""
        if not accounts:
            return {}
        rows = await self._read(find_last_of_accounts(job, accounts))
        return {row.account: read_run(row) for row in rows}

    async def days(self, job: str, *, today: int, count: int) -> list[RunDay]:
        """Give what the runs of a job brought on each of the last days; days without one are out.

        Args:
            job: its name.
            today: days since the epoch.
            count: how many days, today with them.
        """
        first = today - count + 1
        known = self._days.setdefault(job, {})
        since = max(first, self._since.get(job, first))
        for row in await self._read(add_up_days(job, since, is_sqlite=self._database.is_sqlite)):
            known[row.day] = RunDay(
                day=row.day, runs=row.runs, failed=row.failed, records=int(row.records)
            )
        self._since[job] = today - _OPEN_DAYS + 1
        self._days[job] = {day: one for day, one in known.items() if day >= first}
        return [one for day, one in sorted(self._days[job].items()) if day <= today]

    async def _read(self, query: Any) -> list[Any]:
        # beside the hot path's own connections, which must not wait for what people look at
        async with self._database.read() as connection:
            return list((await connection.execute(query)).all())


def find_runs(choice: RunChoice, *, limit: int, before: str = "", after: str = "") -> Select[Any]:
    """Make the query for a page, the newest first, or the oldest first where ``after`` is given."""
    query = select(RunRow)
    if choice.job:
        query = query.where(col(RunRow.job) == choice.job)
    if choice.account:
        query = query.where(col(RunRow.account) == choice.account)
    if choice.state:
        query = query.where(text(STATES[choice.state]))
    at: Any = col(RunRow.started_at)
    run_id = col(RunRow.id)
    if choice.state in {
        "queued",
        "running",
    }:  # the few are sorted: SQLite would go through all in their order
        at = at + 0.0
    place = tuple_(at, run_id)
    if (key := _parse_key(before)) is not None:
        query = query.where(place < key)
    elif (key := _parse_key(after)) is not None:
        return query.where(place > key).order_by(at, run_id).limit(limit)
    return query.order_by(at.desc(), run_id.desc()).limit(limit)


def find_last_of_accounts(job: str, accounts: Sequence[str]) -> Any:
    """Make the query for the last run of a job for each of some accounts."""
    one_each = [
        find_runs(RunChoice(job=job, account=account), limit=1).subquery() for account in accounts
    ]
    return union_all(*(select(one) for one in one_each))


def add_up_days(job: str, since: int, *, is_sqlite: bool) -> Executable:
    """Make the query for what the runs of a job have brought by day.

    Args:
        job: its name.
        since: the first day (days since the epoch).
        is_sqlite: the database is, and cuts off where the other one rounds.
    """
    days: ColumnElement[Any] = col(RunRow.started_at) / DAY
    day = cast(days if is_sqlite else func.floor(days), Integer).label("day")
    return (
        select(
            day,
            func.count().label("runs"),
            func.sum(case((_IS_FAILED, 1), else_=0)).label("failed"),
            func.sum(col(RunRow.records)).label("records"),
        )
        .where(col(RunRow.job) == job, col(RunRow.started_at) >= since * DAY)
        .group_by(day)
        .order_by(day)
    )


def _key(run: Run) -> str:
    return f"{run.started_at:.9f}".rstrip("0").rstrip(".") + f"-{run.id}"


def _parse_key(text: str) -> tuple[float, str] | None:
    match = _KEY.fullmatch(text)
    return (float(match["at"]), match["id"]) if match else None
