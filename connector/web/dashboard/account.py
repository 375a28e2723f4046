"""One account: all that is known of it, and what a person can do with it."""

from starlette.requests import Request
from starlette.responses import Response

from connector.account import Account, Active, Pending, lacks_scopes
from connector.account_name import check_account_name
from connector.duration import format_duration
from connector.errors import ConsentRequired, RegistrationRejected, TemporarilyUnavailable
from connector.runtime import Runtime
from connector.web.dashboard.account_history import history_of
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute, field_of
from connector.web.dashboard.words import is_number, row_of


class AccountPage:
    """Routes of one account.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
    """

    def __init__(self, runtime: Runtime, frame: Frame) -> None:
        self._runtime = runtime
        self._frame = frame

    def routes(self) -> list[PageRoute]:
        """Give the routes; that of the account comes last, since names hold slashes."""
        path = "/accounts/{account:path}"
        return [
            self._frame.action(f"{path}/refresh", self.refresh),
            self._frame.action(f"{path}/rename", self.rename),
            self._frame.page(f"{path}/rename", self.ask_name),
            self._frame.action(f"{path}/revoke", self.revoke),
            self._frame.page(f"{path}/revoke", self.ask_to_revoke),
            self._frame.page(path, self.show),
        ]

    async def show(self, request: Request) -> Response:
        """Show the account."""
        account = await self._account(request)
        now = self._runtime.now()
        provider = self._runtime.settings.providers.get(account.provider)
        terms, trouble = account.grant.terms if account.grant else None, account.trouble
        values = {
            "row": row_of(account, now),
            "provider": provider,
            "terms": terms,
            "is_active": isinstance(account.state, Active),
            "is_held": trouble is not None and is_number(trouble.retry_at) and trouble.is_held,
            "is_pending": isinstance(account.state, Pending),
            "keeps_refresh_token": bool(account.grant and account.grant.sealed.refresh_token),
            "missing": lacks_scopes(terms, provider.scopes) if terms and provider else (),
            "can_connect": provider is not None,
            **await history_of(self._runtime, account),
        }
        return await self._frame.render(request, "account.html", values)

    async def refresh(self, request: Request) -> Response:
        """Refresh now, whatever was to be waited for."""
        account = await self._account(request)
        path = f"/accounts/{account.name}"
        try:
            token = await self._runtime.tokens.refresh(account.name, ignore_backoff=True)
        except (ConsentRequired, RegistrationRejected, TemporarilyUnavailable) as error:
            return self._frame.go(request, path, f"Not refreshed: {error}", level="danger")
        more = ""
        if token.expires_at is not None:
            life = format_duration(token.expires_at.timestamp() - self._runtime.now())
            more = f" The new access token is good for {life}."
        return self._frame.go(request, path, f"Refreshed.{more}")

    async def ask_name(self, request: Request) -> Response:
        """Ask for another name."""
        values = {"account": await self._account(request), "name": "", "problem": ""}
        return await self._frame.render(request, "rename.html", values)

    async def rename(self, request: Request) -> Response:
        """Give the account another name."""
        account = await self._account(request)
        name = field_of(request, "name")
        problem = ""
        try:
            check_account_name(name)
        except ValueError as error:
            problem = str(error)
        if not problem and name == account.name:
            problem = "that is its name already"
        if not problem and not await self._runtime.accounts.rename(account, name):
            problem = f"there is an account {name} already"
        if problem:
            values = {"account": account, "name": name, "problem": problem}
            return await self._frame.render(request, "rename.html", values, status=400)
        self._runtime.tokens.forget(account.name)
        text = f"{account.name} is now {name}. Programs must ask for it by the new name."
        return self._frame.go(request, f"/accounts/{name}", text)

    async def ask_to_revoke(self, request: Request) -> Response:
        """Ask whether the account is to be revoked."""
        account = await self._account(request)
        provider = self._runtime.settings.providers.get(account.provider)
        values = {"account": account, "provider": provider, "has_tokens": account.grant is not None}
        return await self._frame.render(request, "revoke.html", values)

    async def revoke(self, request: Request) -> Response:
        """Revoke the account, and remove it where that is wanted."""
        account = await self._account(request)
        outcome = await self._runtime.revoker.revoke(account.name)
        self._runtime.tokens.forget(account.name)
        if outcome.is_confirmed:
            text, level = f"{account.name} is revoked, here and at the provider.", "good"
        elif not outcome.is_offered:
            text = f"{account.name} is revoked here; its provider offers no revocation."
            level = "warning"
        else:
            text = (
                f"{account.name} is revoked here; the provider has not confirmed it yet"
                f" ({outcome.cause}) and is asked again."
            )
            level = "warning"
        if not field_of(request, "forget"):
            return self._frame.go(request, f"/accounts/{account.name}", text, level=level)
        await self._runtime.accounts.forget(account)
        return self._frame.go(request, "/accounts", f"{text} The account is removed.", level=level)

    async def _account(self, request: Request) -> Account:
        return await self._runtime.accounts.require(request.path_params["account"])
