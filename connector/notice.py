"""A notice: what people must be told, once for each cause; and the facts that call for it.

A `Cause` is open for as long as the store says so. A `Notice` is the record of one cause: how often
and of what people were told, and what has become of it. Everything here is a value; times are
seconds since the epoch.
"""

from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal[
    "consent_required",
    "consent_ends",
    "refresh_failing",
    "refresh_held",
    "registration_rejected",
    "provider_unavailable",
    "job_failing",
    "answers_waiting",
    "audit_does_not_fit",
    "store_unavailable",
    "vault_sealed",
    "trial",
]
#: Why people are told: a cause has come, it has changed, it is still there, it has gone.
Event = Literal["opened", "changed", "reminder", "resolved"]

#: Before the end of a consent people are told so many days ahead, once for each.
STEPS: Final = (14, 7, 1)
#: One run that fails, and its successor too, may be the network's; a third one is not.
FAILED_RUNS: Final = 3
#: A claimed delivery is taken up by nobody else for so long (seconds): longer than a channel may
#: take, and than the clocks of two hosts differ.
CLAIM_TIME: Final = 120.0
#: A channel that has not told of an end for so long will not tell of it (seconds).
LONGEST_DELAY: Final = 7 * 86_400.0
#: `Cause.level` of a consent whose end has passed.
PAST: Final = len(STEPS) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Something that people must be told of.

    Attributes:
        key: tells it from all others.
        kind: what it is.
        since: when it began.
        account_id, account: the account that it is about, if it is about one.
        provider: the provider's name in the configuration, if any.
        job: the job's name, if any.
        reason: why, in a few words, which may be a provider's.
        level: rises with its urgency; each is told of.
        ends_at: when the consent ends, if that is what it is about.
    """

    key: str
    kind: Kind
    since: float
    account_id: str | None = None
    account: str | None = None
    provider: str | None = None
    job: str | None = None
    reason: str | None = None
    level: int = 0
    ends_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The record of one cause, or of many alike that are told of together.

    Attributes:
        id: of the record.
        cause: as it was last seen; of many alike, what they share.
        count: how many it sums up; None: it is about one.
        part_of: the notice that sums this one up; None: it is told of itself.
        number: of what there is to tell: each rise is told once; 0: nothing.
        event: why there is.
        first_seen: when the cause was found.
        told_at: when there was something to tell last.
        told_count: how many it summed up then.
        remind_at: when people are to be reminded.
        reminders: how often they were.
        gone_at: when the cause was missed; it may come back.
        resolved_at: when it was taken as gone for good.
        version: rises with every change of the record.
    """

    id: str
    cause: Cause
    count: int | None = None
    part_of: str | None = None
    number: int = 0
    event: Event = "opened"
    first_seen: float
    told_at: float
    told_count: int = 1
    remind_at: float | None = None
    reminders: int = 0
    gone_at: float | None = None
    resolved_at: float | None = None
    version: int = 0

    @property
    def is_resolved(self) -> bool:
        """Whether its cause has gone for good."""
        return self.resolved_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What one channel is to tell now, and nobody else does.

    Attributes:
        notice: what.
        accounts: some of those that it sums up.
        channel: which one.
        attempts: how often it was tried in vain.
        owner: who has claimed it.
    """

    notice: Notice
    accounts: tuple[str, ...]
    channel: str
    attempts: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFacts:
    """What is known of an account that somebody may have to be told of."""

    id: str
    name: str
    provider: str
    state: str
    state_since: float
    reason: str | None
    consented_at: float | None
    consent_ends_at: float | None
    failing_since: float | None
    last_error: str | None
    retry_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """That a provider is left alone; see `store.halts.Halt`."""

    provider: str
    since: float
    until: float
    message: str
    rejected: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """That the runs of a job for an account have failed since the last that did not.

    Attributes:
        is_refused: the account was granted less than the job needs; then the others say since
            when, and what is lacking.
    """

    job: str
    account_id: str
    account: str
    provider: str
    failures: int
    since: float
    error: str | None
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a store knows at one time."""

    accounts: tuple[AccountFacts, ...] = ()
    providers: tuple[ProviderFacts, ...] = ()
    jobs: tuple[JobFacts, ...] = ()
