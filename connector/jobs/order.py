"""What a child process is to run, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connector.providers.provider import Api
from connector.settings import DestinationSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a child is to run.

    Attributes:
        run: ``module:function``; empty: ``request`` is pulled.
        folder: where modules are looked for first; the child's working directory.
        job, account, run_id: whose run it is, by names.
        account_id: the account's identifier, which the cursor belongs to.
        destination: where records go; its secrets have not been read.
        since: replaces the cursor, where a person asked for it; with a lane, the begin of the time
            that is asked for.
        until: the end of that time; None: now.
        due_at: the slot (seconds since the epoch); None: somebody asked for it.
        lane: "" or, for a backfill, what its state is kept under; see `destinations.stream`.
        proxy: of every call that leaves; not shown, for it may hold a password.
        ca_file: authorities to trust instead of the usual ones.
        attempt: how often this run has been begun, this time included: a destination takes nothing
            of an older one.
        options: for the function.
        deadline: seconds.
        provider: the name of the account's provider.
        request: a declared pull, as the configuration has it; None: ``run`` is called.
        preview: records to be shown, and not written; 0: it is no preview.
        hidden_variables: environment variables that the child does not get.
        memory: bytes that it may take; None: as much as it likes.
    """

    run: str
    folder: Path
    job: str
    account: str
    account_id: str
    run_id: str
    destination: DestinationSettings
    since: object
    options: Mapping[str, object] = field(repr=False)
    deadline: float
    hidden_variables: frozenset[str] = frozenset()
    proxy: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    until: str | None = None
    lane: str = ""
    due_at: float | None = None
    attempt: int = 1
    provider: str = ""
    request: Mapping[str, object] | None = field(default=None, repr=False)
    preview: int = 0
    memory: int | None = None

    def message(self, url: str, api: Api) -> dict[str, object]:
        """Write the order for the child.

        Args:
            url: of the destination, with its secrets.
            api: of the account's provider.
        """
        return {
            "type": "order",
            "run": self.run,
            "request": self.request,
            "defaults": api.pull.table,
            "preview": self.preview,
            "folder": str(self.folder),
            "job": self.job,
            "account": self.account,
            "account_id": self.account_id,
            "provider": self.provider,
            "run_id": self.run_id,
            "attempt": self.attempt,
            "lane": self.lane,
            "destination": url,
            "table": self.destination.table,
            "key": list(self.destination.key),
            "mode": self.destination.mode,
            "columns": dict(self.destination.columns),
            "max_rejected": self.destination.max_rejected,
            "since": self.since,
            "until": self.until,
            "due_at": self.due_at,
            "options": dict(self.options),
            "deadline": self.deadline,
            "base_url": api.base_url,
            "proxy": self.proxy,
            "ca_file": self.ca_file,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks of a run.

    Attributes:
        since: replaces the cursor; or the begin of the time of a backfill.
        until: the end of that time; None: it is no backfill.
    """

    since: object = None
    until: str | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a child's run, as far as it told.

    Attributes:
        kind: of the failure; None: it succeeded.
        error: in words.
        records, batches, pages, bytes, cursor: committed.
        retries: requests that were sent again.
        waited: seconds spent waiting for rate limits and between tries.
        rejected: records that were set aside.
        rejection: why the first of them was; None: none was.
        place: where it is: ``done`` (a share of the whole), ``text``; empty where it is not told.
        tokens: different access tokens that it was given.
    """

    kind: str | None = None
    error: str | None = None
    records: int = 0
    batches: int = 0
    tokens: int = 0
    pages: int = 0
    bytes: int = 0
    retries: int = 0
    waited: float = 0.0
    rejected: int = 0
    rejection: str | None = None
    cursor: object = None
    place: Mapping[str, object] = field(default_factory=dict)
