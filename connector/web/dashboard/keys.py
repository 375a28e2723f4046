"""API keys: the list, a new one (shown once), and revoking one."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from connector.account_name import AccountGlob, parse_glob
from connector.api_key import SCOPES, ApiKey, check_key_name, new_key
from connector.errors import Refused
from connector.runtime import Runtime
from connector.store.audit_entry import Entry
from connector.web.dashboard.frame import Frame
from connector.web.dashboard.guard import PageRoute, field_of, form_of

#: What a scope lets its holder do, for people.
SCOPE_WORDS: Final = {
    "token:read": "get access tokens",
    "consent:create": "make connect links",
    "jobs:run": "run jobs and see runs",
    "metrics:read": "read the daemon's metrics",
    "admin": "all of it, and revoke accounts",
}
_DAY: Final = 86_400
#: Days that a key may be good for; 0: for ever.
LIFETIMES: Final = (30, 90, 365, 0)


class KeyPages:
    """Routes of API keys.

    Args:
        runtime: the daemon's objects.
        frame: makes pages.
    """

    def __init__(self, runtime: Runtime, frame: Frame) -> None:
        self._runtime = runtime
        self._frame = frame

    def routes(self) -> list[PageRoute]:
        """Give the routes."""
        return [
            self._frame.page("/keys", self.show),
            self._frame.action("/keys", self.create),
            self._frame.page("/keys/new", self.ask),
            self._frame.page("/keys/{key}/revoke", self.ask_to_revoke),
            self._frame.action("/keys/{key}/revoke", self.revoke),
        ]

    async def show(self, request: Request) -> Response:
        """List the keys: those that are good first."""
        now = self._runtime.now()
        keys = await self._runtime.api_keys.all()
        keys.sort(key=lambda key: (not key.is_good(now), key.name))
        return await self._frame.render(request, "keys.html", {"keys": keys})

    async def ask(self, request: Request) -> Response:
        """Ask what a new key is to be good for."""
        return await self._ask(request, {}, "")

    async def create(self, request: Request) -> Response:
        """Make a key and show it, this once."""
        form = form_of(request)
        try:
            name = check_key_name(field_of(request, "name"))
            accounts = _globs(field_of(request, "accounts"))
            scopes = _scopes(form.get("scope", ()))
            days = int(field_of(request, "days"))
            if days not in LIFETIMES:
                raise ValueError("choose how long the key is good for")  # noqa: TRY301
        except ValueError as error:
            return await self._ask(request, form, str(error))
        made, now = new_key(), self._runtime.now()
        try:
            await self._runtime.api_keys.add(
                made,
                name=name,
                accounts=accounts,
                scopes=scopes,
                now=now,
                expires_at=now + days * _DAY if days else None,
            )
        except Refused as error:
            return await self._ask(request, form, str(error))
        globs = " ".join(glob.text for glob in accounts)
        detail = {"name": name, "accounts": globs, "scopes": " ".join(sorted(scopes))}
        self._runtime.trail.note(Entry(event="key.created", detail=detail))
        values = {"name": name, "text": made.text}
        return await self._frame.render(request, "new_key.html", values)

    async def ask_to_revoke(self, request: Request) -> Response:
        """Ask whether a key is to be revoked."""
        key = await self._key(request)
        return await self._frame.render(request, "revoke_key.html", {"key": key})

    async def revoke(self, request: Request) -> Response:
        """Revoke a key."""
        key = await self._key(request)
        if await self._runtime.api_keys.revoke(key.name, now=self._runtime.now()):
            self._runtime.trail.note(Entry(event="key.revoked", detail={"name": key.name}))
        text = f"Key {key.name} is revoked: within two seconds nothing takes it any more."
        return self._frame.go(request, "/keys", text)

    async def _ask(
        self, request: Request, given: Mapping[str, tuple[str, ...]], problem: str
    ) -> Response:
        values = {
            "scopes": [(name, SCOPE_WORDS[name]) for name in SCOPES],
            "lifetimes": LIFETIMES,
            "name": given.get("name", ("",))[0],
            "accounts": given.get("accounts", ("",))[0],
            "chosen": given.get("scope", ("token:read",) if not given else ()),
            "days": given.get("days", ("90",))[0],
            "problem": problem,
        }
        status = 400 if problem else 200
        return await self._frame.render(request, "key_form.html", values, status=status)

    async def _key(self, request: Request) -> ApiKey:
        """Give the key of a path.

        Raises:
            Refused: there is none.
        """
        name = request.path_params["key"]
        for key in await self._runtime.api_keys.all():
            if key.name == name:
                return key
        raise Refused("there is no such key")


def _globs(text: str) -> tuple[AccountGlob, ...]:
    """Read which accounts a key is good for.

    Raises:
        ValueError: there is none, or something else than globs.
    """
    globs = tuple(parse_glob(one) for one in text.replace(",", " ").split())
    if not globs:
        raise ValueError("say which accounts the key is good for: a name, or a glob such as acme/*")
    return globs


def _scopes(names: tuple[str, ...]) -> frozenset[str]:
    """Read what a key is good for.

    Raises:
        ValueError: there is nothing, or something else than scopes.
    """
    if not names or not frozenset(names) <= frozenset(SCOPES):
        raise ValueError("choose what the key is good for")
    return frozenset(names)
