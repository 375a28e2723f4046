"""What the store holds, in numbers: a few queries, each an aggregate or of a small table.

No name of an account is in them. Times are seconds since the epoch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, case, func, select
from sqlmodel import col

from connector.store.database import Database
from connector.store.history_tables import JobRow, RunRow
from connector.store.notice_tables import NoticeRow
from connector.store.open_runs import IS_QUEUED, IS_RUNNING
from connector.store.tables import (
    AccountRow,
    ApiKeyRow,
    HaltRow,
    LateTokenRow,
    RevocationRow,
)

_HOUR: Final = 3600.0
_DAY: Final = 86_400.0
#: Access tokens are counted that end within these (seconds); 0: that have ended.
TOKEN_HORIZONS: Final[Mapping[str, float]] = {"0s": 0.0, "5m": 300.0, "1h": _HOUR, "24h": _DAY}
#: Likewise consents.
CONSENT_HORIZONS: Final[Mapping[str, float]] = {
    "0d": 0.0, "1d": _DAY, "7d": 7 * _DAY, "14d": 14 * _DAY, "30d": 30 * _DAY
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHalt:
    """A provider that is left alone.

    Attributes:
        until: then it is tried again.
        is_rejected: because it rejects our client registration.
    """

    until: float
    is_rejected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the store holds.

    Attributes:
        accounts: by provider and state.
        failing: active accounts whose last refresh failed, by provider.
        tokens_ending: active accounts whose access token ends within a horizon, by provider and
            horizon.
        consents_ending: likewise, whose consent ends.
        due: accounts that are due to be refreshed now.
        oldest_due_at: of the one that is longest overdue; None: there is none.
        halts: by provider.
        revocations: debts that no provider has confirmed.
        late_tokens: that are kept.
        key_ends: when each good API key ends; None: never.
        running: runs under way, by job, in all processes.
        queued: runs that wait to be begun, by job.
        oldest_queued_at: since when the longest waits, by job.
        succeeded_at: when a run of a job last succeeded.
        paused: names of jobs.
        notices: that are open, by kind.
    """

    accounts: Mapping[tuple[str, str], int]
    failing: Mapping[str, int]
    tokens_ending: Mapping[tuple[str, str], int]
    consents_ending: Mapping[tuple[str, str], int]
    due: int
    oldest_due_at: float | None
    halts: Mapping[str, StoredHalt]
    revocations: int
    late_tokens: int
    key_ends: tuple[float | None, ...]
    running: Mapping[str, int]
    queued: Mapping[str, int]
    oldest_queued_at: Mapping[str, float]
    succeeded_at: Mapping[str, float]
    paused: frozenset[str]
    notices: Mapping[str, int]


class StatisticsStore:
    """Reads statistics.

    Args:
        database: where they are read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, now: float) -> Statistics:
        """Count.

        Args:
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        async with self._database.read() as connection:
            return await connection.run_sync(_read, now)


def _read(connection: Connection, now: float) -> Statistics:
    due, oldest_due_at = _due(connection, now)
    halts = connection.execute(select(HaltRow)).all()
    running = select(col(RunRow.job), func.count()).where(IS_RUNNING)
    queued = select(col(RunRow.job), func.count()).where(IS_QUEUED)
    oldest = select(col(RunRow.job), func.min(col(RunRow.queued_at))).where(IS_QUEUED)
    succeeded = select(col(RunRow.job), func.max(col(RunRow.finished_at))).where(
        col(RunRow.outcome) == "succeeded"
    )
    notices = select(col(NoticeRow.kind), func.count()).where(col(NoticeRow.resolved_at).is_(None))
    return Statistics(
        **_of_accounts(connection, now),
        due=due,
        oldest_due_at=oldest_due_at,
        halts={
            row.provider: StoredHalt(until=row.halted_until, is_rejected=row.rejected is not None)
            for row in halts
        },
        revocations=connection.execute(
            select(func.count()).select_from(RevocationRow)
        ).scalar_one(),
        late_tokens=connection.execute(select(func.count()).select_from(LateTokenRow)).scalar_one(),
        key_ends=_key_ends(connection, now),
        notices=_pairs(connection, notices.group_by(col(NoticeRow.kind))),
        running=_pairs(connection, running.group_by(col(RunRow.job))),
        queued=_pairs(connection, queued.group_by(col(RunRow.job))),
        oldest_queued_at=_pairs(connection, oldest.group_by(col(RunRow.job))),
        succeeded_at=_pairs(connection, succeeded.group_by(col(RunRow.job))),
        paused=frozenset(
            connection.execute(
                select(col(JobRow.name)).where(col(JobRow.paused_at).is_not(None))
            ).scalars()
        ),
    )


def _of_accounts(connection: Connection, now: float) -> dict[str, Any]:
    """Count the accounts in one pass over them."""
    sums = [
        *(_sum(col(AccountRow.expires_at) <= now + wide) for wide in TOKEN_HORIZONS.values()),
        *(
            _sum(col(AccountRow.consent_ends_at) <= now + wide)
            for wide in CONSENT_HORIZONS.values()
        ),
        _sum(col(AccountRow.failures) > 0),
    ]
    by = (col(AccountRow.provider), col(AccountRow.state))
    accounts, failing = {}, {}
    tokens, consents = {}, {}
    for provider, state, count, *counts in connection.execute(
        select(*by, func.count(), *sums).group_by(*by)
    ):
        accounts[provider, state] = count
        if state != "active":
            continue
        failing[provider] = counts.pop()
        for horizon, ending in zip(TOKEN_HORIZONS, counts, strict=False):
            tokens[provider, horizon] = ending
        for horizon, ending in zip(CONSENT_HORIZONS, counts[len(TOKEN_HORIZONS) :], strict=True):
            consents[provider, horizon] = ending
    return {
        "accounts": accounts,
        "failing": failing,
        "tokens_ending": tokens,
        "consents_ending": consents,
    }


def _due(connection: Connection, now: float) -> tuple[int, float | None]:
    due_at = col(AccountRow.due_at)
    row = connection.execute(
        select(func.count(), func.min(due_at)).where(
            col(AccountRow.state) == "active", due_at.is_not(None), due_at <= now
        )
    ).one()
    return row[0], row[1]


def _key_ends(connection: Connection, now: float) -> tuple[float | None, ...]:
    ends = connection.execute(
        select(col(ApiKeyRow.expires_at)).where(col(ApiKeyRow.revoked_at).is_(None))
    ).scalars()
    return tuple(end for end in ends if end is None or end > now)


def _sum(condition: Any) -> Any:
    return func.sum(case((condition, 1), else_=0))


def _pairs(connection: Connection, query: Any) -> dict[str, Any]:
    return {row[0]: row[1] for row in connection.execute(query)}
