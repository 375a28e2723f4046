"""A declared pull without processes: an API, a destination and a clock that are a test's own."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from connector.credential import Credential
from connector.jobs.channel import Message
from connector.jobs.destinations.destination import Committed, Record
from connector.jobs.destinations.rejecting import Rejected
from connector.jobs.destinations.stream import State
from connector.jobs.pull.asking import Asker
from connector.jobs.pull.limits import RunLimits
from connector.jobs.pull.pull import PullRun, Work
from connector.jobs.pull.sending import Reply
from connector.jobs.pull.span import Asked
from connector.jobs.pull.waiting import Clock, Waiting
from connector.jobs.writing import Writer
from connector.oauth.token import AccessToken
from connector.providers.provider import Api
from connector.pulls.messages import Request
from connector.pulls.rules import Scope
from connector.pulls.spec import Pull

#: When the tests' runs begin.
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()


class Killed(BaseException):
    """The process is gone."""


@dataclass(kw_only=True)
class Call:
    """A request as the API sees it."""

    method: str
    path: str
    params: dict[str, str]
    body: Any
    token: str


@dataclass(kw_only=True)
class Given:
    """What the API answers."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None


Answers = Callable[[Call], Given | Exception]


class FakeSender:
    """Answers from a function; every call is kept."""

    def __init__(self, answers: Answers, tokens: Sequence[str] = ("one", "two", "three")) -> None:
        self._answers = answers
        self._tokens = list(tokens)
        self.calls: list[Call] = []
        self.refreshes = 0

    async def send(self, request: Request) -> Reply:
        url = request.full_url
        call = Call(
            method=request.method,
            path=urlsplit(url).path,
            params=dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)),
            body=request.body,
            token=self._tokens[0],
        )
        self.calls.append(call)
        given = self._answers(call)
        if isinstance(given, Exception):
            raise given
        content = given.content if given.content is not None else json.dumps(given.body).encode()
        return Reply(
            status=given.status,
            headers=given.headers,
            content=content,
            body=given.body,
            url=f"https://api.example/{url}" if "//" not in url else url,
            credential=credential(self._tokens[0]),
        )

    async def refresh(self, rejected: Credential) -> Credential:
        self.refreshes += 1
        if len(self._tokens) > 1 and self._tokens[0] == rejected.token.value:
            del self._tokens[0]
        return credential(self._tokens[0])


def credential(token: str) -> Credential:
    return Credential(
        token=AccessToken(value=token),
        api=Api(),
        headers={"Authorization": f"Bearer {token}"},
        params={"signature": f"of-{token}"},
    )


class FakeDestination:
    """Keeps records by their key, and a state; dies where it is told to."""

    def __init__(self, key: tuple[str, ...] = ("id",)) -> None:
        self.key = key
        self.rows: list[Record] = []
        self.by_key: dict[tuple[object, ...], Record] = {}
        self.text = json.dumps([None, None])
        self.rejected: list[Rejected] = []
        self.rejected_to = "nowhere"
        self.commits = 0
        self.checkpoints: list[Any] = []
        self.die: Callable[[int], str | None] = lambda _commit: None

    def state(self) -> State:
        cursor, checkpoint = json.loads(self.text)
        return State(cursor=cursor, checkpoint=checkpoint)

    def commit(
        self,
        records: Sequence[Record],
        state: State | None = None,
        *,
        rejected: Sequence[Rejected] = (),
        allowed: int | None = None,
    ) -> Committed:
        self.commits += 1
        when = self.die(self.commits)
        if when == "before":
            raise Killed
        for record in records:
            self.rows.append(record)
            self.by_key[tuple(record[name] for name in self.key)] = record
        if state is not None:
            self.text = json.dumps([state.cursor, state.checkpoint])
            self.checkpoints.append(json.loads(self.text)[1])
        if when == "after":
            raise Killed
        self.rejected += rejected
        assert allowed is None
        return Committed(
            written=len(records), changed=len(records), rejected=len(rejected), reason=None
        )

    def close(self) -> None:
        pass

    @property
    def cursor(self) -> Any:
        return self.state().cursor

    @property
    def checkpoint(self) -> Any:
        return self.state().checkpoint


class FakeClock:
    """Time goes only where somebody sleeps."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now
        self.sleeps: list[float] = []

        self.set_by = 0.0

    def now(self) -> float:
        return self.time + self.set_by

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class FakeDesk:
    """Keeps what it is told; gives the waits that it was given."""

    def __init__(self) -> None:
        self.is_near = False
        self.told: list[tuple[str, str, float, float]] = []
        self.waits: list[float] = []

    def tell(self, scope: Scope, part: str, *, used: float, wait: float, slow_from: float) -> None:
        assert slow_from == 75
        self.told.append((scope, part, used, wait))

    async def leave(self, part: str, *, has_turn: bool) -> float:
        assert isinstance(part, str)
        assert isinstance(has_turn, bool)
        wait = self.waits.pop(0) if self.waits else 0.0
        self.is_near = bool(self.waits)
        return wait


class PullBench:
    """Runs a pull again and again, as a schedule does."""

    def __init__(self, pull: Pull, answers: Answers, key: tuple[str, ...] = ("id",)) -> None:
        self.pull = pull
        self.answers = answers
        self.key = key
        self.destination = FakeDestination(key)
        self.clock = FakeClock()
        self.desk = FakeDesk()
        self.tokens: Sequence[str] = ("one", "two", "three")
        self.sender = FakeSender(answers)
        self.declaration = "d"
        self.deadline = 36_000.0
        self.told: list[Message] = []
        self.logged: list[str] = []

    async def run_async(
        self,
        *,
        since: str | None = None,
        until: str | None = None,
        lane: bool = False,
        attempt: int = 1,
    ) -> Writer:
        self.sender = FakeSender(self.answers, self.tokens)
        writer = Writer(self.destination, self.told.append, key=self.key)
        writer._progress.interval = 0.0  # each commit is told
        waiting = Waiting(
            writer,
            seconds=self.deadline,
            longest=self.pull.limits.longest_wait,
            clock=Clock(now=self.clock.now, sleep=self.clock.sleep, monotonic=self.clock.monotonic),
        )
        asker = Asker(
            self.sender,
            self.pull,
            RunLimits(self.pull.limits, self.desk, waiting),
            waiting,
            counts=writer.counts,
            account="acme/ads",
            provider="acme",
        )
        work = Work(
            pull=self.pull,
            declaration=self.declaration,
            account="acme/ads",
            asked=Asked(since=since, until=until),
            is_lane=lane,
            attempt=attempt,
        )
        logger = logging.Logger("job")  # noqa: LOG001 - of this run alone
        logger.addHandler(_Keeping(self.logged))
        await PullRun(work, writer, asker, waiting, logger).run()
        return writer

    def run(self, **asked: Any) -> Writer:
        return asyncio.run(self.run_async(**asked))

    @property
    def calls(self) -> list[Call]:
        return self.sender.calls

    def ids(self) -> list[object]:
        return [record["id"] for record in self.destination.rows]


class _Keeping(logging.Handler):
    def __init__(self, kept: list[str]) -> None:
        super().__init__()
        self._kept = kept

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())
