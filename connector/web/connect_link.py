"""Links that lead a person to consent: ``/connect/{ticket}``, single use, expiring.

Opening a link stores nothing and asks nobody. Going on binds it to that browser by a cookie, begins
a consent and leads to the provider, whose answer is taken from that browser alone (CHECKLIST 5, 6).
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.consent.connect_links import DEFAULT_LIFETIME, MOST_TRIES, ConnectLinks, MadeLink
from connector.consent.consents import Consents
from connector.errors import ConnectorError
from connector.oauth.endpoint_url import is_loopback_host
from connector.providers.provider import Provider
from connector.store.connect_links import ConnectLink
from connector.web.body import read_form
from connector.web.browser_cookie import BrowserCookie, hash_of
from connector.web.pages import page, redirect

logger = logging.getLogger(__name__)


class ConnectLinkPages:
    """Makes connect links and takes people through them.

    Args:
        links: makes and finds them.
        consents: gives the provider's URL.
        provider: gives a provider by its name; None: it is configured no more.
        cookie: ties a link to a browser.
        address: of the daemon, as people reach it, without a slash at the end.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        links: ConnectLinks,
        consents: Consents,
        provider: Callable[[str], Provider | None],
        *,
        cookie: BrowserCookie,
        address: str,
        now: Callable[[], float],
    ) -> None:
        self._links = links
        self._consents = consents
        self._provider = provider
        self._cookie = cookie
        self._address = address
        self._now = now

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/connect/{ticket}", self.ask, methods=["GET"]),
            Route("/connect/{ticket}", self.go_on, methods=["POST"]),
        ]

    async def make(
        self,
        provider: str,
        account: str,
        *,
        lifetime: float = DEFAULT_LIFETIME,
        with_code: bool = False,
    ) -> tuple[MadeLink, str]:
        """Make a link and give its address too; raises as `ConnectLinks.make`."""
        made = await self._links.make(provider, account, lifetime=lifetime, with_code=with_code)
        return made, f"{self._address}/connect/{made.ticket}"

    async def ask(self, request: Request) -> Response:
        """Show what the person is about to consent to."""
        link = await self._find(request)
        return (
            _gone()
            if link is None
            else self._asked(link, needs_code=self._needs_code(request, link))
        )

    async def go_on(self, request: Request) -> Response:
        """Bind the link to this browser, begin a consent and lead to the provider."""
        link = await self._find(request)
        if link is None:
            return _gone()
        value = self._value(request, link)
        if value is None and link.browser_hash is not None:
            return _gone()
        if self._needs_code(request, link):
            code = (await read_form(request)).get("code", "")
            if not await self._links.is_confirmed(link, request.path_params["ticket"], code):
                return await self._ask_again(request)
        value = value or self._cookie.new()
        try:
            uri = self._redirect_uri(link.provider)
            started = await self._links.begin(link, hash_of(value), uri)
            if started is None:
                return _gone()
            response: Response = redirect(await self._consents.url(started.id))
        except ConnectorError as error:
            response = _not_now(error)  # with the cookie, for the link may be this browser's now
        self._cookie.set(response, value, max_age=link.expires_at - self._now())
        return response

    async def _ask_again(self, request: Request) -> Response:
        """Say that a code is not right, and how many tries are left."""
        link = await self._find(request)
        if link is None:
            return _gone()
        return self._asked(link, needs_code=True, left=MOST_TRIES - link.tries)

    async def _find(self, request: Request) -> ConnectLink | None:
        """Give the link that a request is about, unless it leads nowhere any more."""
        link = await self._links.find(request.path_params["ticket"])
        return None if link is None or self._provider(link.provider) is None else link

    def _value(self, request: Request, link: ConnectLink) -> str | None:
        """Give the cookie's value, where the browser is the one that the link is bound to."""
        return self._cookie.read(request, link.browser_hash) if link.browser_hash else None

    def _needs_code(self, request: Request, link: ConnectLink) -> bool:
        return link.code_hash is not None and self._value(request, link) is None

    def _asked(self, link: ConnectLink, *, needs_code: bool, left: int | None = None) -> Response:
        provider = self._provider(link.provider)
        assert provider is not None  # noqa: S101 - see `_find`
        values = {
            "provider": provider.title,
            "account": link.account,
            "scope": ", ".join(provider.scopes),
            "expires": f"{datetime.fromtimestamp(link.expires_at, UTC):%-d %B %Y, %H:%M} UTC",
            "needs_code": needs_code,
            "left": left,
        }
        # it leads on to the provider
        return page("connect.html", values, form_action="*", status=200 if left is None else 403)

    def _redirect_uri(self, name: str) -> str | None:
        """Give the provider's redirect URI, with our port where any port will do."""
        provider = self._provider(name)
        assert provider is not None  # noqa: S101 - see `_find`
        parts = urlsplit(provider.redirect_uri)
        if parts.port is not None or not is_loopback_host(parts.hostname or ""):
            return provider.redirect_uri
        port = urlsplit(self._address).port
        return parts._replace(netloc=f"{parts.netloc}:{port}").geturl()


def _gone() -> Response:
    return page(
        "not_connected.html",
        {
            "heading": "This link no longer works",
            "message": "It has been used, or has expired. Ask for a new one.",
            "command": None,
        },
        status=404,
    )


def _not_now(error: ConnectorError) -> Response:
    """Say that a consent cannot begin; the reason is for whoever made the link (CHECKLIST 149)."""
    logger.error("a consent cannot begin: %s", error, extra={"action": "consent.not_begun"})
    return page(
        "not_connected.html",
        {
            "heading": "Not now",
            "message": "The connection cannot be made at the moment. Nothing was changed; try this"
            " link again later, or tell whoever gave it to you.",
            "command": None,
        },
        status=503,
    )
