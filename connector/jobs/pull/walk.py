"""Walks one part: window by window, page by page, until its pass is complete."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from connector.jobs.pull.asking import Wanted
from connector.jobs.pull.failure import PullFailed
from connector.jobs.pull.parts import Part
from connector.jobs.pull.report import ReportForesight, Reports
from connector.jobs.pull.sending import told
from connector.jobs.pull.span import Span
from connector.pulls.cursors import HighMark, advance
from connector.pulls.messages import Answer, Request
from connector.pulls.moments import MomentError
from connector.pulls.pagination import PaginationError, apply, first, following, reduced
from connector.pulls.rules import Action
from connector.pulls.spec import PageSize
from connector.pulls.templates import fill

if TYPE_CHECKING:
    from connector.jobs.pull.pull import PullRun

#: A window that has to begin anew more often leads in a circle.
_RESTARTS: Final = 3


class Walk:
    """The walk of one part.

    Args:
        run: that it belongs to; its place is moved.
        part: which one.
        span: its time.
    """

    def __init__(self, run: "PullRun", part: Part, span: Span) -> None:
        self._run = run
        self._pull = run.pull
        self._place = run.place
        self._part = part
        self._span = span
        self._base: Request | None = None  # of the window's pages
        self._base_report: str | None = None  # that it is for
        self._restarts = 0
        self._good_size = run.place.size  # of the last page that came
        self._foresight = ReportForesight()
        self._reports: Reports | None = None
        if run.pull.report is not None:
            self._reports = Reports(
                run.pull.report,
                run.asker,
                run.waiting,
                commit=lambda: run.commit([]),
                tell=self._tell_report,
            )
            self._place.by_report = self._place.by_report or run.pull.report.always

    async def walk(self) -> None:
        """Pull the part.

        Raises:
            As `PullRun.run`.
        """
        while self._place.part == self._part.id:
            try:
                await self._page()
            except Wanted as wanted:
                self._change(wanted)

    async def _page(self) -> None:
        """Ask for a page and commit it, with the place of the next."""
        place, pagination = self._place, self._pull.pagination
        base = await self._window_request()
        state = first(pagination) if place.page is None else place.page
        size = self._size()
        request = apply(pagination, state, base, size)
        reply = await self._run.asker.ask(request, self._part.id, self._can())
        records = self._run.taker.take(request, reply, self._part.values)
        answer = Answer(
            url=reply.url,
            body=reply.body,
            headers=reply.headers,
            records=len(records),
            size=None if size is None else size.value,
        )
        try:
            page = following(pagination, state, answer, secrets=reply.credential.params)
        except PaginationError as error:
            raise PullFailed(str(error), "Look at pagination", asked=told(request)) from None
        self._advance(request, records)  # what was not committed is not gone on with
        place.pages += 1
        self._good_size = place.size
        self._tell(f"page {place.pages}")
        if page is None:
            self._end_window()
        else:
            place.page = page
        counts = self._run.writer.counts
        counts.pages += 1
        counts.bytes += len(reply.content)
        self._run.commit(records)

    async def _window_request(self) -> Request:
        """Give the request of the window's pages, but for what paging adds."""
        place = self._place
        report = None
        if place.by_report:
            report = await self._ready_report()
        if self._base is None or report != self._base_report:
            values = {**self._part.values, **self._span.values(place), "report": report}
            try:
                if report is not None and self._pull.report is not None:
                    self._base = fill(self._pull.report.result, values)
                else:
                    self._base = self._span.limited(fill(self._pull.request, values), values)
            except ValueError as error:
                raise PullFailed(str(error), "Look at request") from None
            self._base_report = report
        return self._base

    async def _ready_report(self) -> str:
        if self._reports is None:
            raise PullFailed("a report was ordered that is not declared any more")
        values = {**self._part.values, **self._span.values(self._place)}
        return await self._reports.ready(self._place, values, self._span.limited, self._can())

    def _advance(self, request: Request, records: Sequence[object]) -> None:
        place, rule = self._place, self._span.rule
        if rule.field and self._pull.window is None:
            try:
                high = advance(rule, HighMark(place.high, place.without), records)
            except MomentError as error:
                remedy = "Look at cursor.format"
                raise PullFailed(str(error), remedy, asked=told(request)) from None
            place.high, place.without = high.value, high.without

    def _can(self) -> set[Action]:
        """Give what can be done now where an answer asks for it."""
        can = {Action.IGNORE}
        size = self._size()
        if size is not None and reduced(size) is not None:
            can.add(Action.REDUCE_PAGE_SIZE)
        if self._span.halves(self._place) is not None:
            can.add(Action.SPLIT_WINDOW)
        if self._reports is not None and not self._place.by_report:
            can.add(Action.REPORT)
        if self._place.page is not None and self._restarts < _RESTARTS:
            can.add(Action.RESTART)
        return can

    def _change(self, wanted: Wanted) -> None:
        """Do what an answer asks of the walk."""
        place, now = self._place, self._run.waiting.clock.now()
        self._base = None
        match wanted.action:
            case Action.REDUCE_PAGE_SIZE:
                size = self._size()
                smaller = None if size is None else reduced(size)
                place.size = None if smaller is None else smaller.value
                told_action = f"pages of {place.size} from here"
            case Action.SPLIT_WINDOW:
                halves = self._span.halves(place)
                place.windows[:1] = halves or place.windows[:1]
                place.begin_window(now)
                place.size = self._good_size  # smaller pages were no help
                told_action = "the window is split"
            case Action.REPORT:
                place.by_report = True
                self._foresight.note_refusal()
                place.begin_window(now)
                place.size = self._good_size
                told_action = "a report is ordered"
            case Action.RESTART:
                self._restarts += 1
                place.restart()
                told_action = "the window begins anew"
            case _:
                self._end_window()
                self._run.commit([])
                told_action = "it is passed over"
        self._run.log.info("%s: %s", told_action, wanted.words)

    def _end_window(self) -> None:
        """Go to the next window; after the last one the part is complete."""
        place, now = self._place, self._run.waiting.clock.now()
        self._base = None
        self._restarts = 0
        if not place.by_report:
            self._foresight.note_answer()
        if len(place.windows) > 1:
            del place.windows[0]
            place.begin_window(now)
            return
        following_window = self._span.window_after(place) if place.windows else None
        if following_window is None:
            self._run.finish_part(self._span.complete(place) if place.windows else place.high)
            return
        place.windows = [following_window]
        place.begin_window(now)
        is_always = self._pull.report is not None and self._pull.report.always
        place.by_report = is_always or self._foresight.foresees()

    def _size(self) -> PageSize | None:
        size = self._pull.size
        if size is None or self._place.size is None:
            return size
        return replace(size, value=self._place.size)

    def _tell(self, text: str, inner: float = 0.0) -> None:
        place = self._place
        window = place.windows[0] if place.windows else None
        self._run.progress.tell(self._part.id, window, self._span.share(place, inner), text)

    def _tell_report(self, percent: float | None) -> None:
        told_share = "" if percent is None else f", {percent:.0f} %"
        self._tell(f"report{told_share}", (percent or 0.0) / 100)
        self._run.writer.tell()
