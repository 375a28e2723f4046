"""Whose records a destination takes, and how far they have come."""

from dataclasses import dataclass


class Overtaken(Exception):
    """Another run writes this job's records for this account now: nothing of the batch was written.

    A run whose host was thought dead may come back after it was taken over; what it still holds has
    been pulled again by then (CHECKLIST 169).
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What one job brings for one account.

    Attributes:
        job: the job's name.
        account: the account's name, written into each record.
        account_id: the account's identifier, which the state belongs to: it goes with an account
            that is renamed, and another account that is given the name of one that was forgotten
            begins anew.
        lane: "" for the runs of the schedule; a backfill has a lane, and so a state, of its own.
        run_id, attempt: who writes: the latest attempt of the latest run.
    """

    job: str
    account: str
    account_id: str
    lane: str = ""
    run_id: str = ""
    attempt: int = 1

    @property
    def name(self) -> str:
        """Give what the state is kept under; no job's name holds a ``#``."""
        return f"{self.job}#{self.lane}" if self.lane else self.job

    def name_in(self, table: str) -> str:
        """Give what the state is kept under beside several tables, each a destination of its own.

        A job that is given another table begins anew, since nothing of it is there; no job's name
        holds an ``@``.
        """
        name = f"{self.job}@{table}"
        return f"{name}#{self.lane}" if self.lane else name

    @property
    def writer(self) -> str:
        """Give what the state says of who writes."""
        return f"{self.run_id}:{self.attempt}"

    def check_writer(self, writer: str) -> None:
        """Check that no later attempt of the same run has begun.

        Args:
            writer: who wrote last, as `writer` gives it.

        Raises:
            Overtaken: one has.
        """
        run_id, _, attempt = writer.rpartition(":")
        if writer and run_id == self.run_id and int(attempt) > self.attempt:
            raise Overtaken(f"attempt {attempt} of this run has taken over")


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a stream has come; any JSON values.

    Attributes:
        cursor: where the last run that succeeded got to; None: before the first.
        checkpoint: where a run that has not ended got to; None: none is under way, or it has
            committed nothing. The next run begins there.
    """

    cursor: object = None
    checkpoint: object = None
