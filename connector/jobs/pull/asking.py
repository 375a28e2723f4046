"""Asks until there is an answer: what an answer's error asks for is done here, as far as it can be.

Pauses, fresh tokens and refusals for rate limits concern one request and are seen to here. Smaller
pages, shorter windows and reports concern the walk: they are handed to it as `Wanted`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from connector.errors import ConnectorError, ConsentRequired, TemporarilyUnavailable
from connector.jobs.pull.failure import PullFailed, RunFailed, Unusable
from connector.jobs.pull.limits import RunLimits, Signs
from connector.jobs.pull.sending import Reply, Sending, Unanswered, told
from connector.jobs.pull.waiting import Waiting, backoff, refused
from connector.jobs.writing import Counts
from connector.pulls.answers import Verdict, classify
from connector.pulls.messages import Request
from connector.pulls.rules import Action
from connector.pulls.spec import Pull

#: What the walk does, and not the request; with what to do where it cannot.
OF_THE_WALK: Final = {
    Action.REDUCE_PAGE_SIZE: "pages are at their smallest: ask for fewer fields, or set a window",
    Action.SPLIT_WINDOW: "the window is at its shortest: ask for fewer fields or smaller pages",
    Action.REPORT: "declare how a report is made, or ask for less time",
    Action.RESTART: "the window was begun anew time and again: look at the pagination's paths",
    Action.IGNORE: "",
}
#: Tokens that are tried for one request: the present one and a fresh one.
_TOKENS: Final = 2


class Wanted(Exception):
    """An answer asks for what the walk has to do.

    Args:
        action: which of `OF_THE_WALK`.
        words: of the API.
    """

    def __init__(self, action: Action, words: str) -> None:
        self.action = action
        self.words = words
        super().__init__(f"{action.value}: {words}")


@dataclass(slots=True)
class _Attempts:
    """What was tried for one request."""

    failures: int = 0
    refusals: int = 0
    waited: float = 0.0
    rejected: set[str] = field(default_factory=set)  # tokens


class Asker:
    """Asks an API, for one account.

    Args:
        sender: of its requests.
        pull: whose rules hold.
        limits: of the API's rates.
        waiting: pauses.
        counts: of the run.
        account: the account's name.
        provider: its provider's, for who has to consent.
    """

    def __init__(
        self,
        sender: Sending,
        pull: Pull,
        limits: RunLimits,
        waiting: Waiting,
        *,
        counts: Counts,
        account: str,
        provider: str,
    ) -> None:
        self._sender = sender
        self._pull = pull
        self._limits = limits
        self._waiting = waiting
        self._counts = counts
        self._account = account
        self._provider = provider

    async def ask(self, request: Request, part: str, can: Collection[Action]) -> Reply:
        """Send a request until it is answered.

        Args:
            request: which one.
            part: the identifier of the part that it is for; empty: none.
            can: what the walk can do now, of `OF_THE_WALK`.

        Raises:
            Wanted: the walk has to do something.
            PullFailed: it is not answered, or with what cannot be taken.
            ConsentRequired: a person has to consent.
            TemporarilyUnavailable: it takes longer than may be waited.
            ConnectorError: no token can be had.
        """
        impossible = frozenset(OF_THE_WALK) - frozenset(can)
        attempts = _Attempts()
        while True:
            attempts.waited += await self._limits.leave(part)
            try:
                reply = await self._sender.send(request)
            except Unanswered as error:
                await self._retry(attempts, Unusable(str(error), asked=told(request)))
                continue
            except TemporarilyUnavailable as error:  # no token can be had at present
                await self._retry(attempts, error)
                continue
            signs = self._limits.note(reply, part)
            verdict = self._verdict(reply, impossible)
            if verdict is None:
                return reply
            await self._act(request, reply, verdict, attempts, signs, part)

    def _verdict(self, reply: Reply, impossible: Collection[Action]) -> Verdict | None:
        verdict = self._classify(reply, impossible)
        if verdict is not None and verdict.action is Action.FAIL and reply.is_rejected():
            return Verdict(Action.REFRESH, verdict.message)
        return verdict

    def _classify(self, reply: Reply, impossible: Collection[Action]) -> Verdict | None:
        return classify(
            self._pull.errors,
            reply.status,
            reply.headers,
            reply.content,
            reply.body,
            impossible=impossible,
        )

    async def _act(
        self,
        request: Request,
        reply: Reply,
        verdict: Verdict,
        attempts: _Attempts,
        signs: Signs,
        part: str,
    ) -> None:
        """Do what an answer asks for; afterwards the request is sent again."""
        failure = _kind(verdict)(verdict.message, self._remedy(reply), asked=told(request))
        if verdict.action in OF_THE_WALK:
            self._counts.retries += 1
            raise Wanted(verdict.action, f"{told(request)}: {verdict.message}")
        match verdict.action:
            case Action.RETRY:
                await self._retry(attempts, failure, signs.retry_after)
            case Action.RATE_LIMITED:
                attempts.refusals += 1
                seconds = refused(attempts.refusals) if signs.wait is None else signs.wait
                self._limits.halt(verdict.scope or signs.scope, part, seconds)
                await self._pause(attempts, seconds, f"rate limit: {verdict.message}")
            case Action.REFRESH:
                await self._refresh(reply, attempts, verdict.message)
            case Action.CONSENT:
                raise self._consent(verdict.message)
            case _:
                raise failure

    async def _retry(
        self, attempts: _Attempts, failure: Exception, seconds: float | None = None
    ) -> None:
        """Wait before the next try, unless it was the last.

        Args:
            attempts: so far.
            failure: is raised where it was.
            seconds: that the API asks us to wait; None: it does not say.
        """
        attempts.failures += 1
        if attempts.failures >= self._pull.tries:
            raise failure
        await self._pause(
            attempts, backoff(attempts.failures) if seconds is None else seconds, f"{failure}"
        )

    async def _pause(self, attempts: _Attempts, seconds: float, why: str) -> None:
        self._counts.retries += 1
        await self._waiting.wait(seconds, why, waited=attempts.waited)
        attempts.waited += seconds

    async def _refresh(self, reply: Reply, attempts: _Attempts, words: str) -> None:
        """Have a fresh token; none is sent twice once it was rejected.

        Raises:
            ConsentRequired: there is no other one, or it is rejected too.
            ConnectorError: none can be had.
        """
        attempts.rejected.add(reply.credential.token.value)
        self._counts.retries += 1
        if len(attempts.rejected) >= _TOKENS:
            raise self._consent(words)
        fresh = await self._sender.refresh(reply.credential)
        if fresh.token.value in attempts.rejected:
            raise self._consent(words)

    def _consent(self, words: str) -> ConnectorError:
        return ConsentRequired(self._account, words, provider=self._provider)

    def _remedy(self, reply: Reply) -> str:
        """Say what would have helped, where an action that an answer asks for was impossible."""
        wanted = self._classify(reply, ())
        return "" if wanted is None else OF_THE_WALK.get(wanted.action, "")


def _kind(verdict: Verdict) -> type[PullFailed]:
    """Give what a verdict's failure is, where it comes to one."""
    if verdict.action is Action.RETRY:
        return Unusable
    is_general = verdict.action is Action.FAIL and verdict.scope in {"app", "account"}
    return RunFailed if is_general else PullFailed
