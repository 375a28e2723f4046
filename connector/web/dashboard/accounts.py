"""The list of accounts: by state, provider and text, a page at a time."""

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from connector.runtime import Runtime
from connector.store.account_pages import CHOICES, AccountPages, Choice
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute
from connector.web.dashboard.paging import Paging, page_number
from connector.web.dashboard.words import STATES, row_of

#: What a person scrolls through without losing the thread.
PAGE_SIZE: Final = 50
#: No account's name is longer.
_LONGEST_TEXT: Final = 200


class AccountsPages:
    """The route of the list.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
    """

    def __init__(self, runtime: Runtime, frame: Frame) -> None:
        self._runtime = runtime
        self._frame = frame
        self._pages = AccountPages(runtime.database)

    def routes(self) -> list[PageRoute]:
        """Give the routes; a provider's redirect URI may have taken ``/``."""
        return [self._frame.page("/", self.show), self._frame.page("/accounts", self.show)]

    async def show(self, request: Request) -> Response:
        """Show the accounts that were asked for."""
        query = request.query_params
        state = query.get("state", "")
        choice = Choice(
            state=state if state in CHOICES else "",
            provider=query.get("provider", "")[:_LONGEST_TEXT],
            text=query.get("text", "").strip()[:_LONGEST_TEXT].replace("\0", ""),
        )
        number = page_number(query.get("page", ""))
        found = await self._pages.find(choice, first=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE)
        now = self._runtime.now()
        kept = {"provider": choice.provider, "text": choice.text}
        configured = self._runtime.settings.providers
        values = {
            "rows": [row_of(account, now) for account in found.accounts],
            "choice": choice,
            "tabs": [
                (_path(kept), "All", sum(found.counts.values()), choice.state == "", ""),
                *(
                    (
                        _path({**kept, "state": name}),
                        STATES[name].title,
                        found.counts[name],
                        choice.state == name,
                        STATES[name].tone,
                    )
                    for name in CHOICES
                ),
            ],
            "providers": sorted({*found.providers, *configured}),
            "titles": {name: one.title for name, one in configured.items()},
            "is_chosen": bool(choice.state or choice.provider or choice.text),
            "can_connect": bool(configured),
            "paging": Paging(
                number=number,
                size=PAGE_SIZE,
                total=found.total,
                path=_path({**kept, "state": choice.state}),
            ),
        }
        return await self._frame.render(request, "accounts.html", values)


def _path(fields: dict[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"/accounts?{query}" if query else "/accounts"
