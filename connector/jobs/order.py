"""What a child process is to run, and what came of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a child is to run.

    Attributes:
        run: ``module:function``.
        folder: where modules are looked for first; the child's working directory.
        job, account, run_id: whose run it is, by names.
        account_id: the account's identifier, which the cursor belongs to.
        destination, table, key: where records go.
        since: replaces the cursor, where a person asked for it.
        options: for the function.
        deadline: seconds.
        hidden_variables: environment variables that the child does not get.
    """

    run: str
    folder: Path
    job: str
    account: str
    account_id: str
    run_id: str
    destination: str
    table: str
    key: tuple[str, ...]
    since: object
    options: Mapping[str, object] = field(repr=False)
    deadline: float
    hidden_variables: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of a child's run, as far as it told.

    Attributes:
        kind: of the failure; None: it succeeded.
        error: in words.
        records, batches, cursor: committed.
        tokens: different access tokens that it was given.
    """

    kind: str | None = None
    error: str | None = None
    records: int = 0
    batches: int = 0
    tokens: int = 0
    cursor: object = None
