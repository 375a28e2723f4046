"""Links that lead a person to consent: ``/connect/{ticket}``, single use, expiring.

Opening a link stores nothing. Going on binds the consent to that browser by a cookie, and leads to
the provider; the answer is taken from that browser alone (CHECKLIST 5, 6).
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from connector.consent import Consents, StartedConsent, redirect_path
from connector.oauth.endpoint_url import is_loopback_host
from connector.providers.provider import Provider
from connector.store.consents import ConsentRecord
from connector.web.pages import page, redirect
from connector.web.redirection import BROWSER_COOKIE, browser_hash

_TICKET_BYTES: Final = 32


class ConnectLinks:
    """Makes connect links and takes people through them.

    Args:
        consents: begins consents.
        provider: gives a provider by its name.
        address: of the daemon, as people reach it, without a slash at the end.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        consents: Consents,
        provider: Callable[[str], Provider],
        *,
        address: str,
        now: Callable[[], float],
    ) -> None:
        self._consents = consents
        self._provider = provider
        self._address = address
        self._now = now

    def routes(self) -> list[Route]:
        """Give the routes."""
        return [
            Route("/connect/{ticket}", self.ask, methods=["GET"]),
            Route("/connect/{ticket}", self.go_on, methods=["POST"]),
        ]

    async def make(self, provider: str, account: str) -> tuple[StartedConsent, str]:
        """Make a link; raises as `Consents.begin`."""
        ticket = secrets.token_urlsafe(_TICKET_BYTES)
        started = await self._consents.begin(
            provider,
            account,
            redirect_uri=self._redirect_uri(provider),
            ticket_hash=_ticket_hash(ticket),
        )
        return started, f"{self._address}/connect/{ticket}"

    async def ask(self, request: Request) -> Response:
        """Show what the person is about to consent to."""
        record = await self._find(request)
        if record is None:
            return _gone()
        provider = self._provider(record.provider)
        values = {
            "provider": provider.title,
            "account": record.account,
            "scope": ", ".join(provider.scopes),
        }
        return page("connect.html", values, form_action="*")  # it leads on to the provider

    async def go_on(self, request: Request) -> Response:
        """Bind the consent to this browser and lead to the provider."""
        record = await self._find(request)
        if record is None:
            return _gone()
        name = f"{BROWSER_COOKIE}_{record.id}"
        cookie = request.cookies.get(name) or secrets.token_urlsafe(_TICKET_BYTES)
        is_bound = await self._consents.records.bind_browser(record, browser_hash(cookie))
        if not is_bound and record.browser_hash != browser_hash(cookie):
            return _gone()
        response = redirect(await self._consents.url(record.id))
        response.set_cookie(
            name,
            cookie,
            max_age=max(1, int(record.expires_at - self._now())),
            path=redirect_path(self._provider(record.provider).redirect_uri),
            secure=self._address.startswith("https:"),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _find(self, request: Request) -> ConsentRecord | None:
        ticket = request.path_params["ticket"]
        return await self._consents.records.find_ticket(_ticket_hash(ticket), now=self._now())

    def _redirect_uri(self, provider: str) -> str | None:
        """Give the provider's redirect URI, with our port where any port will do."""
        uri = self._provider(provider).redirect_uri
        parts = urlsplit(uri)
        if parts.port is not None or not is_loopback_host(parts.hostname or ""):
            return uri
        port = urlsplit(self._address).port
        return parts._replace(netloc=f"{parts.netloc}:{port}").geturl()


def _ticket_hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


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
