"""The log of Graph calls: what was asked for and what was said to it, never a token.

It has each call that reached the Graph API, those in a batch one by one. A call whose answer a
fault took away is here with the answer that it was given; the ledger says what became of that.
"""

from collections import Counter
from dataclasses import dataclass, fields

from connector.simulator.call import Call, RefusedError, Reply, Subject
from connector.simulator.facebook.error import GraphError
from connector.simulator.facebook.graph_parameters import read_parameters
from connector.simulator.facebook.insights_days import written_range
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

# Days of a busy demo; older ones make way.
MAX_CALLS = 200_000

# What a page is told apart by.
Page = tuple[str, str | None, str | None, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphCall:
    """One call."""

    number: int
    """1 for the first call, then upwards without gaps."""
    time: float
    """On the simulator's clock."""
    edge: str
    """access_token, revoke, debug_token, me, ad_accounts, permissions, withdraw, node, campaigns,
    adsets, ads, insights, report_start, report, report_insights, batch."""
    method: str
    path: str
    """Without /graph and the version: act_1001/insights."""
    person: str | None = None
    ad_account: str | None = None
    level: str | None = None
    since: str | None = None
    until: str | None = None
    """Of time_range, as they were sent."""
    date_preset: str | None = None
    limit: str | None = None
    after: str | None = None
    """The cursor."""
    status: int
    """The HTTP status."""
    is_refused: bool
    """Whether it was, though it may have come with 200 or without a code."""
    code: int | None = None
    """The error's code, if there was one."""
    subcode: int | None = None

    @property
    def page(self) -> Page:
        """Path, cursor and days: two calls that agree in all of them fetch the same page."""
        return self.path, self.after, self.since, self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSelection:
    """Which calls are meant: those that agree in each member that is not None."""

    edge: str | None = None
    path: str | None = None
    person: str | None = None
    ad_account: str | None = None
    status: int | None = None
    code: int | None = None
    since_number: int = 0
    """Only calls with a greater number."""

    def selects(self, call: GraphCall) -> bool:
        """Whether the call is one of them."""
        names = [field.name for field in fields(self) if field.name != "since_number"]
        return call.number > self.since_number and all(
            getattr(self, name) in (None, getattr(call, name)) for name in names
        )


ALL_CALLS = CallSelection()


class CallLog:
    """All calls; may be read from any thread."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._calls: list[GraphCall] = []
        self._last = 0

    def write(
        self, call: Call, edge: str, subject: Subject, reply: Reply, refusal: RefusedError | None
    ) -> None:
        """Write down a call and its answer."""
        parameters = _parameters(call)
        since, until = written_range(parameters)
        version = call.path.get("version", "")
        self._last += 1
        self._calls.append(
            GraphCall(
                number=self._last,
                time=self._state.clock.now(),
                edge=edge,
                method=call.method,
                path=call.target.removeprefix(f"/graph/{version}/"),
                person=reply.subject.person or subject.person,
                ad_account=reply.subject.ad_account or subject.ad_account,
                level=parameters.get("level"),
                since=since,
                until=until,
                date_preset=parameters.get("date_preset"),
                limit=parameters.get("limit"),
                after=parameters.get("after"),
                status=reply.response.status_code,
                is_refused=refusal is not None,
                code=refusal.code if isinstance(refusal, GraphError) else None,
                subcode=refusal.subcode if isinstance(refusal, GraphError) else None,
            )
        )
        if len(self._calls) > MAX_CALLS:
            del self._calls[: MAX_CALLS // 10]

    @property
    def last_number(self) -> int:
        """The number of the newest call, 0 before the first."""
        with self._state.lock:
            return self._last

    def calls(self, selection: CallSelection = ALL_CALLS) -> tuple[GraphCall, ...]:
        """The selected calls, oldest first."""
        with self._state.lock:
            return tuple(filter(selection.selects, self._calls))

    def pages(self, selection: CallSelection = ALL_CALLS) -> Counter[Page]:
        """How often each page was given, by path, cursor and days."""
        return Counter(each.page for each in self.calls(selection) if not each.is_refused)


def _parameters(call: Call) -> Parameters:
    try:
        return read_parameters(call)
    except GraphError:
        return Parameters()
