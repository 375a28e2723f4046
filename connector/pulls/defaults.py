"""What a provider's data says for every pull: ``[api.pull]``. A job's own comes first."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from connector.pulls.rules import ErrorRule, LimitRule
from connector.pulls.spec import PageSize, Pagination


@dataclass(frozen=True, slots=True, kw_only=True)
class PullDefaults:
    """What holds for every pull from one API.

    Attributes:
        errors: what its errors ask for.
        limits: how it tells of its rate limits.
        pagination: how its lists go on; None: nothing is known.
        size: of its pages; None: nothing is known.
        table: all of that as it is written, in JSON values, for a process that reads it again.
    """

    errors: tuple[ErrorRule, ...] = ()
    limits: LimitRule = field(default_factory=LimitRule)
    pagination: Pagination | None = None
    size: PageSize | None = None
    table: Mapping[str, object] = field(default_factory=dict, repr=False)
