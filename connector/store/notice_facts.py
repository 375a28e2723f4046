"""What the database knows that people may have to be told: found by index, a few rows of many."""

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any, Final

from sqlalchemy import Executable, Row, bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from connector.account import HELD
from connector.notice import (
    FAILED_RUNS,
    STEPS,
    AccountFacts,
    Facts,
    JobFacts,
    ProviderFacts,
)
from connector.store.database import Database
from connector.store.notice_tables import CONSENT_ENDS, IS_FAILING, NEEDS_CONSENT
from connector.store.tables import ACCOUNT

#: A job whose last failure is older than this is not waited for any more (seconds): longer than
#: three runs of one that is due once a month.
OLDEST_FAILURE: Final = 100 * 86_400.0

#: Rows that are read without a pause: some milliseconds' worth, for which no token is served.
_ROWS: Final = 200

_COLUMNS: Final = (
    ACCOUNT.c.id,
    ACCOUNT.c.name,
    ACCOUNT.c.provider,
    ACCOUNT.c.state,
    ACCOUNT.c.state_since,
    ACCOUNT.c.reason,
    ACCOUNT.c.consented_at,
    ACCOUNT.c.consent_ends_at,
    ACCOUNT.c.failing_since,
    ACCOUNT.c.last_error,
    ACCOUNT.c.retry_at,
)
_NEED_CONSENT: Final = select(*_COLUMNS).where(text(NEEDS_CONSENT))
_CONSENT_ENDS: Final = select(*_COLUMNS).where(
    text(CONSENT_ENDS), ACCOUNT.c.consent_ends_at <= bindparam("horizon")
)
_FAILING: Final = select(*_COLUMNS).where(text(IS_FAILING))
_HALTS: Final = text("SELECT provider, since, halted_until, message, rejected FROM provider_halt")
#: The failures of each job and account since its last success. The first condition is that of the
#: index ``ix_run_failed``; the second one says which of its rows.
_JOBS: Final = text(
    """
    SELECT run.job AS job, account.id AS account_id, account.name AS account,
        account.provider AS provider, count(*) AS failures, min(run.started_at) AS since,
        max(run.started_at) AS last_at
    FROM run JOIN account ON account.name = run.account AND account.state = 'active'
    WHERE run.outcome IN ('consent_required', 'failed', 'interrupted')
        AND run.outcome = 'failed' AND run.started_at > :oldest
        AND NOT EXISTS (
            SELECT 1 FROM run AS success
            WHERE success.job = run.job AND success.account = run.account
                AND success.outcome = 'succeeded' AND success.started_at > run.started_at
        )
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.name = run.job AND job.paused_at IS NOT NULL)
    GROUP BY run.job, account.id, account.name, account.provider
    HAVING count(*) >= :least
    ORDER BY run.job, account.name
    """
)
#: Jobs that are not run for an account, since its present consent does not grant what they need.
_REFUSED: Final = text(
    """
    SELECT run.job AS job, account.id AS account_id, account.name AS account,
        account.provider AS provider, 0 AS failures, min(run.started_at) AS since,
        max(run.error) AS error
    FROM run JOIN account ON account.name = run.account AND account.state = 'active'
    WHERE run.outcome IN ('consent_required', 'failed', 'interrupted')
        AND run.outcome = 'consent_required' AND run.started_at > :oldest
        AND run.started_at > account.consented_at
        AND NOT EXISTS (
            SELECT 1 FROM run AS other
            WHERE other.job = run.job AND other.account = run.account
                AND other.outcome IN ('succeeded', 'failed') AND other.started_at > run.started_at
        )
        AND NOT EXISTS (SELECT 1 FROM job WHERE job.name = run.job AND job.paused_at IS NOT NULL)
    GROUP BY run.job, account.id, account.name, account.provider
    ORDER BY run.job, account.name
    """
)
_ERROR: Final = text(
    "SELECT error FROM run WHERE job = :job AND account = :account AND started_at = :last_at"
    " AND outcome = 'failed'"
)
#: Of so many jobs and accounts the last error is read; more are told of together.
_MOST_ERRORS: Final = 50


class NoticeFacts:
    """Looks for what calls for notices.

    Args:
        database: where it looks.
        providers: names of the configuration; what others did is over.
        jobs: likewise.

    Attributes:
        providers, jobs: as given; others hold from the next look on.
    """

    def __init__(
        self, database: Database, *, providers: Collection[str], jobs: Collection[str]
    ) -> None:
        self._database = database
        self.providers = providers
        self.jobs = jobs

    async def look(self, *, now: float) -> Facts:
        """Give what is known now.

        Raises:
            TemporarilyUnavailable: the database cannot be had.
        """
        horizon = {"horizon": now + STEPS[0] * 86_400.0}
        runs = {"oldest": now - OLDEST_FAILURE, "least": FAILED_RUNS}
        accounts, jobs, rows = dict[str, AccountFacts](), list[JobFacts](), list[Row[Any]]()
        async with self._database.read() as connection:
            for query in (_NEED_CONSENT, _CONSENT_ENDS, _FAILING):
                async for row in gently(connection, query, horizon):
                    accounts[row.id] = _account(row)
            halts = (await connection.execute(_HALTS)).all()
            async for row in gently(connection, _JOBS, runs):
                if row.job in self.jobs:
                    rows.append(row)
            async for row in gently(connection, _REFUSED, {"oldest": runs["oldest"]}):
                if row.job in self.jobs:
                    jobs.append(_job(row, row.error, is_refused=True))
            for number, row in enumerate(rows):
                error = None
                if number < _MOST_ERRORS:
                    which = {"job": row.job, "account": row.account, "last_at": row.last_at}
                    error = (await connection.execute(_ERROR, which)).scalar()
                jobs.append(_job(row, error))
        return Facts(
            accounts=tuple(accounts.values()),
            providers=tuple(
                ProviderFacts(
                    provider=row.provider,
                    since=_moment(row.since) or 0.0,
                    until=_moment(row.halted_until) or 0.0,
                    message=_text(row.message) or "",
                    rejected=row.rejected,
                )
                for row in halts
                if row.provider in self.providers
            ),
            jobs=tuple(jobs),
        )


async def gently(
    connection: AsyncConnection, query: Executable, values: Mapping[str, object] | None = None
) -> AsyncIterator[Row[Any]]:
    """Give the rows of a query, and let others have their turn between some of them and the next.

    Args:
        connection: to ask on.
        query: what for.
        values: of its parameters.
    """
    result = await connection.stream(query, values)
    async for rows in result.partitions(_ROWS):
        for row in rows:
            yield row


def _account(row: Row[Any]) -> AccountFacts:
    return AccountFacts(
        id=row.id,
        name=row.name,
        provider=row.provider,
        state=row.state,
        state_since=_moment(row.state_since) or 0.0,
        reason=_text(row.reason),
        consented_at=_moment(row.consented_at),
        consent_ends_at=_moment(row.consent_ends_at),
        failing_since=_moment(row.failing_since),
        last_error=_text(row.last_error),
        retry_at=_moment(row.retry_at),
    )


def _job(row: Row[Any], error: str | None, *, is_refused: bool = False) -> JobFacts:
    return JobFacts(
        job=row.job,
        account_id=row.account_id,
        account=row.account,
        provider=row.provider,
        failures=row.failures,
        since=_moment(row.since) or 0.0,
        error=_text(error),
        is_refused=is_refused,
    )


def _moment(value: object) -> float | None:
    """Give seconds that a calendar can show; None where a row holds something else.

    A column of SQLite holds anything, and one damaged row must leave nobody else untold
    (CHECKLIST 116).
    """
    return value if isinstance(value, int | float) and 0 <= value <= HELD else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
