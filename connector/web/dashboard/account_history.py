"""What has been with one account: values of ``account_history.html`` on its page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from connector.account import Account
from connector.runtime import Runtime
from connector.store.refresh_history import MOST_OF_AN_ACCOUNT, PastRefresh
from connector.store.run_history import RunChoice, RunHistory
from connector.web.dashboard.run_words import line_of
from connector.web.dashboard.words import State
from connector.web.plot_scale import write_seconds
from connector.web.plots import Point, latency_plot

#: So many of the last refreshes stand in the table, and so many runs.
_LISTED: Final = 8
_RUNS: Final = 5
#: What is told in numbers is of these days.
_DAYS: Final = 7
_DAY: Final = 86_400.0

#: What the token endpoint answered, see `token_source.outcomes.OUTCOMES`.
OUTCOMES: Final = {
    one.name: one
    for one in (
        State(name="granted", title="New token", tone="good"),
        State(name="refused", title="Refused", tone="danger"),
        State(name="unexplained", title="Refused, no reason", tone="danger"),
        State(name="unavailable", title="Not available", tone="warning"),
        State(name="unknown", title="No usable answer", tone="warning"),
        State(name="not_sent", title="Not reached", tone="warning"),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshLine:
    """A past refresh as pages show it.

    Attributes:
        at: when it was sent (seconds since the epoch).
        state: what came of it.
        error: the RFC error or HTTP status; empty: none.
        took: how long the answer took, in words.
    """

    at: float
    state: State
    error: str
    took: str


async def history_of(runtime: Runtime, account: Account) -> Mapping[str, object]:
    """Give what ``account_history.html`` shows of an account."""
    past = await runtime.refresh_history.of_account(account.id, limit=MOST_OF_AN_ACCOUNT)
    choice = RunChoice(account=account.name)
    runs = await RunHistory(runtime.database).page(choice, limit=_RUNS)
    lines = [_line(one) for one in past]
    points = [
        Point(
            at=one.at,
            seconds=one.seconds,
            tone=line.state.tone,
            label=f"{line.state.title} {line.error}".strip(),
        )
        for one, line in zip(past, lines, strict=True)
    ]
    title = "How long the token endpoint took to answer (UTC)"
    return {
        "refreshes": lines[:_LISTED],
        "refresh_count": len(past),
        "refresh_plot": latency_plot(points, name="latency", title=title),
        "refresh_rate": _rate(past, runtime.now()),
        "account_runs": [line_of(run) for run in runs.runs],
    }


def _line(past: PastRefresh) -> RefreshLine:
    unheard = State(name=past.outcome, title=past.outcome, tone="warning")  # of a newer program
    return RefreshLine(
        at=past.at,
        state=OUTCOMES.get(past.outcome, unheard),
        error=past.error or "",
        took=write_seconds(past.seconds) if past.seconds else "0 ms",
    )


def _rate(past: Sequence[PastRefresh], now: float) -> str:
    """Say how many of the last days' refreshes did not succeed."""
    recent = [one for one in past if one.at >= now - _DAYS * _DAY]
    if not recent:
        return f"No refresh in the last {_DAYS} days."
    failed = sum(one.outcome != "granted" for one in recent)
    if not failed:
        return f"All {len(recent)} refreshes of the last {_DAYS} days brought a token."
    share = 100 * failed / len(recent)
    shown = f"{share:.0f}" if share >= 1 else f"{share:.1f}"
    return f"{failed} of {len(recent)} refreshes of the last {_DAYS} days failed ({shown} %)."
