"""What a user's function is given besides the HTTP client."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class JobContext:
    """The run that a user's function is called for.

    Attributes:
        job: the job's name.
        account: the account's name.
        run_id: of this run, in the history and in log lines.
        cursor: where the last run for this account got to, whatever its name was then: any JSON
            value that the function assigned; None on the first run. Assign to it; what is assigned,
            None included, is committed together with the records that were yielded before.
        options: the job's ``options`` table, as it stands in the configuration.
        logger: its lines go to the daemon's log, with account and run.
    """

    job: str
    account: str
    run_id: str
    cursor: object = None
    options: Mapping[str, object] = field(default_factory=dict)
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("job"), repr=False)
