"""Pulls what is declared, part by part; see `connector.pulls` for the loops.

What moves: the place after each page, the cursor of a part when its pass is complete. At the end of
the run the place is cleared, but for what is left of parts that failed.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from connector.errors import TemporarilyUnavailable
from connector.jobs.destinations.stream import State
from connector.jobs.pull.asking import Asker
from connector.jobs.pull.failure import PartFailures, PullFailed, RunFailed
from connector.jobs.pull.parts import Part, list_parts
from connector.jobs.pull.place import Place, UnreadablePlace, dump_place, load_place
from connector.jobs.pull.progress import Progress
from connector.jobs.pull.span import Asked, Span, check_asked
from connector.jobs.pull.taking import Taker
from connector.jobs.pull.waiting import Postponed, Waiting
from connector.jobs.pull.walk import Walk
from connector.jobs.writing import Writer
from connector.pulls.moments import Moment
from connector.pulls.spec import Pull


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a run is to pull.

    Attributes:
        pull: the declaration.
        declaration: its `place.fingerprint`.
        account: the account's name.
        asked: the time that a person asks for.
        is_lane: it is a backfill: no cursor moves.
        attempt: how often this run has been begun, this time included.
    """

    pull: Pull
    declaration: str
    account: str
    asked: Asked = field(default_factory=Asked)
    is_lane: bool = False
    attempt: int = 1


class PullRun:
    """One run.

    Args:
        work: what it pulls.
        writer: takes the records.
        asker: asks the API.
        waiting: pauses.
        logger: of the run.
    """

    def __init__(
        self, work: Work, writer: Writer, asker: Asker, waiting: Waiting, logger: logging.Logger
    ) -> None:
        self.work = work
        self.pull = work.pull
        self.asker = asker
        self.waiting = waiting
        self.log = logger
        self.writer = writer
        self.taker = Taker(work.pull.records, work.pull.fields, work.pull.keep)
        self.progress = Progress(writer)
        self._cursor = writer.state.cursor
        self.place = self._resumed()

    async def run(self) -> None:
        """Pull everything that is to be pulled.

        Raises:
            TemporarilyUnavailable: some of it has to wait for longer than is allowed; all else was
                pulled, as far as it does not share the limit.
            PullFailed: it cannot go on, or some of its parts; all else was pulled, and what was
                committed stays.
            DestinationFailed, Overtaken, RecordsRejected: see `Writer.commit_page`.
            ConnectorError: see `Asker.ask`.
        """
        check_asked(self.pull, self.work.asked)
        try:
            await self._run()
        except Postponed as error:
            raise TemporarilyUnavailable(error.reason, error.retry_at) from None

    async def _run(self) -> None:
        parts = await list_parts(self.pull.each, self.asker, {"account": self.work.account})
        if self.pull.each is not None:
            self.log.info("%d parts to pull", len(parts))
        done = set(self.place.done)
        self.progress.begin(len(parts), sum(part.id in done for part in parts))
        await self._pull_parts(
            parts, [part for part in self._ordered(parts) if part.id not in done]
        )
        self.writer.commit([], State(cursor=self._cursor, checkpoint=None))

    def _ordered(self, parts: Sequence[Part]) -> list[Part]:
        """Give the parts in the order in which they are pulled.

        The one that is under way comes first: its place would else be lost. Those that failed come
        last, so that they never keep the others from their turn.
        """
        failed = {part: number for number, part in enumerate(self.place.failed, 1)}
        return sorted(parts, key=lambda part: (part.id != self.place.part, failed.get(part.id, 0)))

    async def _pull_parts(self, parts: Sequence[Part], left: Sequence[Part]) -> None:
        """Pull one part after another; what fails for a reason of its own stops no other.

        Raises:
            Postponed, PullFailed: not all could be pulled.
        """
        failures, waiting = PartFailures(len(parts)), 0
        postponed: Postponed | None = None
        untried = {part.id for part in left} - set(self.place.failed)
        for part in left:
            try:
                await self._pull_part(part)
            except Postponed as error:
                postponed, waiting = postponed or error, waiting + 1
                self.place.set_aside()
                self.commit([])
            except PullFailed as error:
                if self.pull.each is None or isinstance(error, RunFailed):
                    raise
                failures.note(part.id, error)
                self.place.fail(part.id)
                self.commit([])
                self.log.warning("part %s is set aside: %s", part.id, error)
            else:
                failures.note_success()
            untried.discard(part.id)
            if failures.are_general:
                break
        if failures:
            # of those that failed before none is waited for: they would keep the others for ever
            if not untried and not waiting and not self.work.is_lane:
                self.place.end_pass({part.id for part in parts})
                self.commit([])
            raise failures.error(waiting)
        if postponed is not None:
            raise postponed

    def commit(self, records: Sequence[object]) -> None:
        """Write records together with the place; see `Writer.commit_page`."""
        checkpoint = dump_place(self.place, self.work.declaration)
        self.writer.commit_page(records, State(cursor=self._cursor, checkpoint=checkpoint))

    def finish_part(self, reached: Moment | None) -> None:
        """Note that a part's pass is complete; its cursor moves with the next commit.

        Args:
            reached: where the pass got to; None: nowhere.
        """
        part = self.place.part or ""
        last = self._last(part)
        if reached is not None and not self.work.is_lane and self._is_further(last, reached):
            self._move(part, reached)
        self.place.leave()
        self.progress.end_part()

    async def _pull_part(self, part: Part) -> None:
        since = self.work.asked.since if self.work.is_lane else self.place.since
        asked = Asked(since=since, until=self.work.asked.until)
        now = self.waiting.clock.now()
        span = Span(self.pull, part.values, asked, now)
        if self.place.part != part.id and not self.place.take_up(part.id):
            start = span.start(self._last(part.id))
            self.place.enter(part.id, start, now)
            if self.pull.window is not None and start is not None:
                window = span.window_from(start)
                if window is None:  # nothing has passed since
                    self.finish_part(None)
                    return
                self.place.windows = [window]
        await Walk(self, part, span).walk()

    def _resumed(self) -> Place:
        """Give the place that the run begins at."""
        asked = None if self.work.is_lane else self.work.asked.since
        checkpoint = self.writer.state.checkpoint
        if checkpoint is None:
            return Place(since=asked)
        try:
            place = load_place(checkpoint, self.work.declaration)
        except UnreadablePlace as error:
            self.log.warning("the run begins at the cursor: %s", error)
            return Place(since=asked)
        if asked is not None and (self.work.attempt == 1 or place.since != asked):
            return Place(since=asked)  # a person asks for another begin
        self.log.info("the run goes on where the last one got to")
        return place

    def _last(self, part: str) -> Moment | None:
        """Give where the last run of a part got to; None: there was none."""
        value = self._cursor
        if self.pull.each is not None:
            value = value.get(part) if isinstance(value, dict) else None
        is_moment = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        return value if is_moment else None  # type: ignore[return-value]

    def _is_further(self, last: Moment | None, reached: Moment) -> bool:
        """Tell whether a cursor moves: forwards, or to where a person's begin has led."""
        if last is None or self.place.since is not None:
            return True
        if isinstance(last, str) != isinstance(reached, str):
            return True  # it was of another format
        return last < reached  # type: ignore[operator]

    def _move(self, part: str, reached: Moment) -> None:
        if self.pull.each is None:
            self._cursor = reached
        else:
            by_part = self._cursor if isinstance(self._cursor, dict) else {}
            self._cursor = {**by_part, part: reached}
