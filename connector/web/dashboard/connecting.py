"""Making connect links: for the person at hand, or to be sent to somebody who is to consent.

Only a form makes one; the page that asks changes nothing (CHECKLIST 155).
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from connector.account_name import check_account_name
from connector.runtime import Runtime
from connector.web.connect_link import ConnectLinkPages
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute, field_of

#: A link that is sent is followed the next day (seconds).
SHARED_LIFETIME: Final = 86_400.0


class ConnectPages:
    """Routes of connecting.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
        links: makes connect links.
    """

    def __init__(self, runtime: Runtime, frame: Frame, links: ConnectLinkPages) -> None:
        self._runtime = runtime
        self._frame = frame
        self._links = links

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        return [
            self._frame.page("/connect", self.ask),
            self._frame.action("/connect", self.connect),
        ]

    async def ask(self, request: Request) -> Response:
        """Ask which provider, and for the account's name."""
        query = request.query_params
        provider, account = query.get("provider", ""), query.get("account", "")
        return await self._ask(request, provider, account)

    async def connect(self, request: Request) -> Response:
        """Make a link; go there, or show it so that it can be sent."""
        provider, account = field_of(request, "provider"), field_of(request, "account")
        problem = ""
        if provider not in self._runtime.settings.providers:
            problem = "choose a provider"
        else:
            try:
                check_account_name(account)
            except ValueError as error:
                problem = str(error)
        present = None if problem else await self._runtime.accounts.get(account)
        if present is not None and present.provider != provider:
            problem = f"account {account} is one of {present.provider}: choose another name"
        if problem:
            return await self._ask(request, provider, account, problem=problem)
        if not field_of(request, "share"):
            _, url = await self._links.make(provider, account)
            return self._frame.go(request, url)
        made, url = await self._links.make(
            provider, account, lifetime=SHARED_LIFETIME, with_code=True
        )
        values = {
            "url": url,
            "account": account,
            "provider": self._runtime.settings.providers[provider],
            "code": made.code,
            "expires_at": made.expires_at,
        }
        return await self._frame.render(request, "link.html", values)

    async def _ask(
        self, request: Request, provider: str, account: str, *, problem: str = ""
    ) -> Response:
        providers = self._runtime.settings.providers
        chosen = provider or (next(iter(providers)) if len(providers) == 1 else "")
        values = {
            "providers": sorted(providers.values(), key=lambda one: one.title.lower()),
            "chosen": chosen,
            "account": account,
            "problem": problem,
        }
        status = 400 if problem else 200
        return await self._frame.render(request, "connect.html", values, status=status)
