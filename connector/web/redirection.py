"""The redirect URI: takes the answer to a consent, and shows the person how it ended.

The answer is redirected away from at once (303), so that code and state leave the address bar, the
history and the log; the page that follows waits for the outcome. What does not belong to a consent
under way, or is no GET, is answered 404 and changes nothing, so that stray hits keep a listener
waiting (CHECKLIST 20 to 25).
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from connector import errors
from connector.consent import (
    CompletedConsent,
    ConnectLinks,
    Consents,
    UnknownConsent,
    redirect_path,
)
from connector.oauth.authorization_request import ResponseRejected, parse_response
from connector.providers.provider import Provider
from connector.store.consents import ConsentRecord
from connector.web.browser_cookie import BrowserCookie
from connector.web.pages import page, redirect

logger = logging.getLogger(__name__)

Work = asyncio.Task[CompletedConsent]

#: Of so many consents the end can be shown: who has a link may begin one after the other.
MOST_KEPT: Final = 1000
#: Longer than the exchange may take; then the person is told to look again.
OUTCOME_TIMEOUT: Final = 60.0


class Redirection:
    """Routes of the redirect URI.

    Args:
        consents: completes them.
        provider: gives a provider by its name.
        links: are used up by consents that succeed; None: nobody comes by a link.
        on_answer: told the consent's identifier and its completion when an answer has come.
        on_shown: told the consent's identifier when its outcome has been shown.
        accounts_path: below which accounts have pages here; empty: they have none.

    Attributes:
        cookie: tells the browsers that came by links; it goes by the address that people know.
    """

    def __init__(
        self,
        consents: Consents,
        provider: Callable[[str], Provider],
        links: ConnectLinks | None = None,
        on_answer: Callable[[str, Work], None] | None = None,
        on_shown: Callable[[str], None] | None = None,
        accounts_path: str = "",
    ) -> None:
        self._consents = consents
        self._provider = provider
        self._links = links
        self.cookie: BrowserCookie | None = None
        self._on_answer = on_answer
        self._on_shown = on_shown
        self._accounts_path = accounts_path
        self._work: dict[str, Work] = {}

    def routes(self, redirect_uris: Iterable[str]) -> list[BaseRoute]:
        """Give the routes.

        Args:
            redirect_uris: whose answers are taken here, at whatever path they have.
        """
        paths = {redirect_path(uri) for uri in redirect_uris}
        return [
            *(_ExactRoute(path, self.take) for path in sorted(paths)),
            Route("/consent/{consent}", self.show, methods=["GET"]),
        ]

    async def take(self, request: Request) -> Response:
        """Take the answer to a consent."""
        try:
            response = parse_response(request.url.query)
            record = await self._consents.find(response)
        except ResponseRejected as error:
            return _stray(400, f"The answer cannot be used: {error}.")
        except UnknownConsent:
            return _stray(404, "This address belongs to no consent that is under way.")
        if not self._is_same_browser(request, record):
            self._consents.notes.wrong_browser(record)
            return _stray(403, "This consent was begun in another browser.")
        self.complete(record, response, arrived_at=raw_path(request.scope))
        return redirect(f"/consent/{record.id}")

    def complete(self, record: ConsentRecord, response: dict[str, str], *, arrived_at: str) -> Work:
        """Begin to complete a consent, once; the same work is given for a repeated answer."""
        if record.id not in self._work:
            if len(self._work) >= MOST_KEPT:
                self._forget()
            work = asyncio.create_task(self._complete(record, response, arrived_at))
            work.add_done_callback(_retrieve)
            self._work[record.id] = work
            if self._on_answer is not None:
                self._on_answer(record.id, work)
        return self._work[record.id]

    def _forget(self) -> None:
        """Forget the ends of the consents that ended first."""
        ended = [consent for consent, work in self._work.items() if work.done()]
        for consent in ended[: max(1, MOST_KEPT // 10)]:
            del self._work[consent]

    async def _complete(
        self, record: ConsentRecord, response: dict[str, str], arrived_at: str
    ) -> CompletedConsent:
        completed = await self._consents.complete(record, response, arrived_at=arrived_at)
        if self._links is not None:
            try:
                await self._links.use_up(record.browser_hash)
            except errors.ConnectorError as error:  # it expires, and no other browser has it
                logger.warning(str(error), extra={"action": "consent.link_not_used_up"})
        return completed

    async def show(self, request: Request) -> Response:
        """Show how a consent ended."""
        consent_id = request.path_params["consent"]
        work = self._work.get(consent_id)
        if work is None or request.method != "GET":  # HEAD shows nothing to anybody
            return _stray(404, "This address belongs to no consent that is under way.")
        try:
            async with asyncio.timeout(OUTCOME_TIMEOUT):
                completed = await asyncio.shield(work)
        except TimeoutError:
            return _failed("This takes long", "Reload this page in a moment.", None, 503)
        except UnknownConsent:
            return _stray(404, "This consent has been used, or has expired.")
        except errors.ConnectorError as error:
            self._shown(consent_id)
            return await self._not_connected(consent_id, error)
        self._shown(consent_id)
        return self._connected(completed)

    async def _not_connected(self, consent_id: str, error: errors.ConnectorError) -> Response:
        """Say why not; to who came by a link, nothing that is its maker's business."""
        try:
            record = await self._consents.records.get(consent_id)
        except errors.ConnectorError:
            record = None
        if record is not None and record.browser_hash is None:
            return _failed("Not connected", str(error), record, 400)
        return _failed("Not connected", _for_visitors(error), None, 400)

    def _title(self, provider: str) -> str:
        """Name a provider for people; it may be configured no more."""
        try:
            return self._provider(provider).title
        except errors.ConfigurationError:
            return provider

    def _connected(self, completed: CompletedConsent) -> Response:
        account, grant = completed.account, completed.account.grant
        assert grant is not None  # noqa: S101 - it has just been activated
        ends = grant.terms.consent_ends_at
        return page(
            "connected.html",
            {
                "provider": self._title(account.provider),
                "account": account.name,
                "person": grant.subject_name,
                "scope": ", ".join(grant.terms.scope or ()),
                "ends": ends and f"{datetime.fromtimestamp(ends, UTC):%-d %B %Y}",
                "missing": ", ".join(completed.missing_scopes),
                "can_refresh": completed.can_refresh,
                "path": self._accounts_path and f"{self._accounts_path}/{account.name}",
            },
        )

    def _is_same_browser(self, request: Request, record: ConsentRecord) -> bool:
        """Tell whether the answer comes in the browser that went on with the consent."""
        if record.browser_hash is None:
            return True  # begun on this machine's command line, answered on its loopback interface
        return self.cookie is not None and bool(self.cookie.read(request, record.browser_hash))

    def _shown(self, consent_id: str) -> None:
        if self._on_shown is not None:
            self._on_shown(consent_id)


class _ExactRoute(Route):
    """Takes GET alone, at one path as it was registered with the provider, byte for byte.

    A `Route` takes HEAD as well, which link checkers and previews send: it would use the answer up
    that the person's browser is about to bring.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this route."""
        is_ours = scope["type"] == "http" and scope["method"] == "GET"
        if is_ours and raw_path(scope) == self.path:
            return Match.FULL, {"endpoint": self.endpoint}
        return Match.NONE, {}


def raw_path(scope: Scope) -> str:
    """Give the path of a request as it was sent, escapes included."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.decode("ascii", "replace")


def _stray(status: int, message: str) -> Response:
    return page(
        "not_connected.html",
        {"heading": "Nothing to do here", "message": message, "command": None},
        status=status,
    )


def _failed(heading: str, message: str, record: ConsentRecord | None, status: int) -> Response:
    command = f"connector connect {record.provider} --account {record.account}" if record else None
    return page(
        "not_connected.html",
        {"heading": heading, "message": message, "command": command},
        status=status,
    )


def _for_visitors(error: errors.ConnectorError) -> str:
    """Say why a consent came to nothing without who else is known here, and how it is set up."""
    match error:
        case errors.ConsentNotGiven(outcome="another_person"):
            return (
                f"Another person consented than the one that account {error.account} belongs to;"
                " nothing was changed."
            )
        case errors.ConsentNotGiven(outcome=outcome) if outcome != "another_provider":
            return str(error)
    return (
        "The connection could not be made. Try the link again later, or tell whoever gave it to"
        " you."
    )


def _retrieve(work: Work) -> None:
    """Take note of a failure that nobody may come to see."""
    if work.cancelled():
        return
    error = work.exception()
    if error is not None and not isinstance(error, (errors.ConnectorError, UnknownConsent)):
        extra = {"action": "consent.bug"}
        logger.error("a consent failed by a bug", exc_info=error, extra=extra)
