"""Reports that an API makes in its own time: ordered, asked after until they are ready.

A report's identifier is committed before it is asked after: a run that is killed asks after the
same one. One that fails, or takes too long, is ordered anew, so many times.
"""

from collections.abc import Callable, Mapping
from typing import Final

from connector.jobs.pull.asking import Asker, Wanted
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.place import Place, ReportPlace
from connector.jobs.pull.sending import Reply, told
from connector.jobs.pull.waiting import Waiting
from connector.pulls.answers import classify
from connector.pulls.messages import Request, as_text
from connector.pulls.paths import Path
from connector.pulls.rules import Action, ErrorRule
from connector.pulls.spec import ReportRule
from connector.pulls.templates import fill

Values = Mapping[str, object]
#: So many windows are ordered as reports at once, at most, before one is asked for without: an API
#: that needs reports for good refuses one call in seventeen.
_MOST_FORESEEN: Final = 16


class ReportForesight:
    """Which windows of a part are ordered as reports without being refused first.

    A window is much like the one before it: after a refusal the next one is, after a further one
    the next two, four, and so on. A window that is had without a report has them all asked for so.
    """

    def __init__(self) -> None:
        self._left = 0
        self._next = 1

    def note_refusal(self) -> None:
        """Note that a window is refused without a report."""
        self._left = self._next
        self._next = min(2 * self._next, _MOST_FORESEEN)

    def note_answer(self) -> None:
        """Note that a window was had without one."""
        self._next = 1

    def foresees(self) -> bool:
        """Tell whether the window that begins now is ordered as a report at once."""
        self._left -= 1
        return self._left >= 0


class Reports:
    """The reports of one run.

    Args:
        rule: how they are made.
        asker: asks the API.
        waiting: pauses between polls.
        commit: writes the place down.
        tell: is told how far a report is, in per cent.
    """

    def __init__(
        self,
        rule: ReportRule,
        asker: Asker,
        waiting: Waiting,
        *,
        commit: Callable[[], None],
        tell: Callable[[float | None], None],
    ) -> None:
        self._rule = rule
        self._asker = asker
        self._waiting = waiting
        self._commit = commit
        self._tell = tell
        self._ready: str | None = None

    async def ready(
        self,
        place: Place,
        values: Values,
        limited: Callable[[Request, Values], Request],
        can: set[Action],
    ) -> str:
        """Give the identifier of the window's report, once it can be read.

        Args:
            place: where the run is; it remembers the report.
            values: of placeholders.
            limited: puts the window's ends into a request.
            can: what the walk can do; see `Asker.ask`.

        Raises:
            Wanted: the walk has to do something.
            PullFailed: none was made in as many tries as there are.
            ConnectorError: see `Asker.ask`.
        """
        while True:
            report = place.report
            if report is not None and self._is_over(report, self._rule.lifetime):
                place.begin_window(self._waiting.clock.now())
                report = None
            if report is None:
                report = await self._order(place, 1, values, limited, can)
            if report.id == self._ready or await self._poll(report, place, values, can):
                self._ready = report.id
                return report.id
            if report.tries >= self._rule.tries:
                failure = f"the API made none of {report.tries} reports"
                if Action.SPLIT_WINDOW in can:
                    raise Wanted(Action.SPLIT_WINDOW, failure)
                place.begin_window(self._waiting.clock.now())
                self._commit()  # the next run orders one
                raise PullFailed(failure, "Ask for less time, or for fewer fields")
            place.begin_window(self._waiting.clock.now())
            await self._order(place, report.tries + 1, values, limited, can)

    async def _order(
        self,
        place: Place,
        tries: int,
        values: Values,
        limited: Callable[[Request, Values], Request],
        can: set[Action],
    ) -> ReportPlace:
        request = limited(fill(self._rule.create, values), values)
        reply = await self._asker.ask(request, place.part or "", can)
        found = Path.parse(self._rule.id).first(reply.body)
        if found is None or found == "" or isinstance(found, (dict, list, bool)):
            raise PullFailed(
                f"the answer has no {self._rule.id!r}, which names the report",
                "Look at report.id",
                asked=told(request),
            )
        place.report = ReportPlace(id=as_text(found), at=self._waiting.clock.now(), tries=tries)
        self._commit()
        return place.report

    async def _poll(
        self, report: ReportPlace, place: Place, values: Values, can: set[Action]
    ) -> bool:
        """Ask after a report until it is ready (True), has failed, or has taken too long."""
        request = fill(self._rule.poll, {**values, "report": report.id})
        can = (can & {Action.SPLIT_WINDOW}) | {Action.RESTART, Action.IGNORE}
        while True:
            try:
                reply = await self._asker.ask(request, place.part or "", can)
            except Wanted as wanted:
                if wanted.action in {Action.RESTART, Action.IGNORE}:
                    return False  # it is no longer known
                raise
            self._tell(self._progress(reply))
            if any(_hold(reply, {path: words}) for path, words in self._rule.failed.items()):
                return False
            if _hold(reply, self._rule.ready):
                return True
            if self._is_over(report, self._rule.deadline):
                return False
            await self._waiting.wait(self._rule.interval, "a report is being made")

    def _progress(self, reply: Reply) -> float | None:
        if not self._rule.progress:
            return None
        value = Path.parse(self._rule.progress).first(reply.body)
        try:
            return min(100.0, max(0.0, float(value)))  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None

    def _is_over(self, report: ReportPlace, seconds: float) -> bool:
        return self._waiting.clock.now() - report.at > seconds


def _hold(reply: Reply, conditions: Mapping[str, tuple[object, ...]]) -> bool:
    """Tell whether all conditions hold, as those of an error's rule do."""
    rule = ErrorRule(action=Action.IGNORE, when=conditions)
    return classify((rule,), 200, {}, b"null", reply.body) is not None
