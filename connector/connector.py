"""The public objects: `Connector`, `AsyncConnector`, and the one-liner `get_access_token`.

A `Connector` owns its connections, is safe to use from any thread, and serves a valid token in
memory without touching its event loop, the disk or a lock. A forked child notices that it is one
and opens connections of its own.
"""

import asyncio
import os
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Self

from connector.credential import Credential
from connector.oauth.token import AccessToken
from connector.portal import Portal
from connector.resource import AccountAuth, make_auth
from connector.runtime import Runtime, open_runtime
from connector.settings import Settings, load_settings


class Connector:
    """Access tokens for synchronous programs; make one with `Connector.open`.

    Args:
        settings: the configuration.
    """

    #: Looks in memory; replaced when this is closed.
    _hit: Callable[[str, float | None], AccessToken | None]

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._is_closed = False
        self._open_here()

    @classmethod
    def open(cls, config: str | os.PathLike[str] | None = None) -> "Connector":
        """Open the vault that a configuration names.

        Args:
            config: the configuration file; else ``CONNECTOR_CONFIG``, ``./config.toml``, or the one
                in the platform's user configuration folder.

        Raises:
            ConfigurationError: every problem of the configuration.
            VaultSealed: there is no vault yet, or its key is missing or wrong.
            TemporarilyUnavailable: the database cannot be had.
        """
        return cls(load_settings(config))

    @staticmethod
    def open_async(config: str | os.PathLike[str] | None = None) -> "AsyncConnector":
        """Open it for asynchronous programs: ``async with Connector.open_async() as connector``.

        Args:
            config: as for `open`.

        Raises:
            ConfigurationError: every problem of the configuration.
        """
        return AsyncConnector(load_settings(config))

    def get_token(
        self, account: str, min_ttl: float | None = None, *, strict: bool = False
    ) -> AccessToken:
        """Give an access token with its type, end and scope.

        Args:
            account: the account's name.
            min_ttl: the least remaining life in seconds; by default a tenth of the token's
                lifetime, at most 60 s.
            strict: raise where no token with ``min_ttl`` left can be had, instead of giving a
                shorter one that still works.

        Raises:
            UnknownAccount: there is no such account.
            ConsentRequired: a person must consent (again).
            TemporarilyUnavailable: no token that works can be had now; says when to retry.
            RegistrationRejected: the provider rejects our client registration.
            VaultSealed: the stored token does not open.
        """
        token = self._hit(account, min_ttl)
        return self._obtain(account, min_ttl, strict=strict) if token is None else token

    def get_access_token(self, account: str, min_ttl: float | None = None) -> str:
        """Give the access token itself; arguments and errors as for `get_token`."""
        token = self._hit(account, min_ttl)
        return (self._obtain(account, min_ttl) if token is None else token).value

    def auth(self, account: str) -> AccountAuth:
        """Give auth for clients of httpx2 and plain httpx, of requests, and of aiohttp.

        It is what ``httpx2.Client``, ``httpx2.AsyncClient`` and requests take as ``auth``, and what
        ``aiohttp.ClientSession`` takes among its ``middlewares``. It attaches a token per request;
        when the API rejects it, one refresh is forced and the request is sent once more. The token
        is attached only for the provider's own origins.

        Args:
            account: the account's name.
        """
        return make_auth(account, self)

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give what a request needs; see `credential.CredentialSource`."""
        self._check_process()
        return self._portal.call(_credential(self._runtime, account, rejected))

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give what a request needs, in the caller's own event loop."""
        self._check_process()
        return await self._portal.call_async(_credential(self._runtime, account, rejected))

    def close(self) -> None:
        """Close all connections; refreshes under way commit first."""
        if not self._is_closed:
            self._is_closed = True
            self._hit = _no_hit
            self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open_here(self) -> None:
        portal = Portal()
        try:
            opening = open_runtime(self._settings, has_background=True)
            runtime: Runtime = portal.call(opening)
        except BaseException:
            portal.close()
            raise
        self._portal, self._runtime = portal, runtime
        self._hit = runtime.tokens.memory.hit
        # also at exit, so that a refresh under way commits though nobody closed us
        self._finalizer = weakref.finalize(self, _close_quietly, os.getpid(), portal, runtime)
        self._pid = os.getpid()  # last: other threads now take what was opened

    def _obtain(self, account: str, min_ttl: float | None, *, strict: bool = False) -> AccessToken:
        self._check_process()
        token = self._portal.call_shared(
            (account, min_ttl, strict),
            lambda: self._runtime.tokens.get(account, min_ttl, is_strict=strict),
        )
        self._runtime.releases.note(account, token)
        return token

    def _check_process(self) -> None:
        """Open anew in a forked child: its parent's connections and thread are not its own."""
        if self._is_closed:
            raise RuntimeError("this Connector is closed")
        if os.getpid() != self._pid:
            with self._lock:
                if os.getpid() != self._pid:
                    self._open_here()


class AsyncConnector:
    """Access tokens for asynchronous programs, in the caller's event loop.

    Args:
        settings: the configuration.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runtime: Runtime | None = None

    async def __aenter__(self) -> Self:
        self._runtime = await open_runtime(self._settings, has_background=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def get_token(
        self, account: str, min_ttl: float | None = None, *, strict: bool = False
    ) -> AccessToken:
        """Give an access token with its type, end and scope; see `Connector.get_token`."""
        runtime = self._opened()
        token = runtime.tokens.memory.hit(account, min_ttl)
        if token is None:
            token = await runtime.tokens.get(account, min_ttl, is_strict=strict)
            runtime.releases.note(account, token)
        return token

    async def get_access_token(self, account: str, min_ttl: float | None = None) -> str:
        """Give the access token itself; see `Connector.get_token`."""
        return (await self.get_token(account, min_ttl)).value

    def auth(self, account: str) -> AccountAuth:
        """Give auth for the asynchronous clients of `Connector.auth`."""
        return make_auth(account, self)

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:  # noqa: ARG002
        """Refuse: a synchronous client would block the event loop that has to answer it."""
        raise RuntimeError("use an AsyncClient with open_async, or Connector.open")

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give what a request needs; see `credential.CredentialSource`."""
        return await _credential(self._opened(), account, rejected)

    async def aclose(self) -> None:
        """Close all connections; refreshes under way commit first."""
        if self._runtime is not None:
            runtime, self._runtime = self._runtime, None
            await asyncio.shield(runtime.aclose())

    def _opened(self) -> Runtime:
        if self._runtime is None:
            raise RuntimeError("open it first: async with Connector.open_async() as connector")
        return self._runtime


class _Default:
    """The `Connector` behind the one-liner, made on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._connector: Connector | None = None

    def get(self) -> Connector:
        if self._connector is None:
            if os.getpid() != self._pid:  # forked while another thread held the lock
                self._lock, self._pid = threading.Lock(), os.getpid()
            with self._lock:
                if self._connector is None:
                    self._connector = Connector.open()
        return self._connector


_default = _Default()


def get_access_token(account: str, min_ttl: float | None = None) -> str:
    """Give an access token of an account, from the default configuration.

    Args:
        account: the account's name.
        min_ttl: the least remaining life in seconds; by default a tenth of the token's lifetime,
            at most 60 s.

    Raises:
        ConnectorError: as `Connector.open` and `Connector.get_token`.
    """
    return _default.get().get_access_token(account, min_ttl)


async def _credential(runtime: Runtime, account: str, rejected: AccessToken | None) -> Credential:
    credential = await runtime.credential(account, rejected)
    runtime.releases.note(account, credential.token)
    return credential


def _no_hit(_account: str, _min_ttl: float | None) -> None:
    """Find nothing: what has been closed serves nothing from memory."""


def _close_quietly(pid: int, portal: Portal, runtime: Runtime) -> None:
    if os.getpid() != pid:
        return  # a forked child: the connections are its parent's
    portal.call(runtime.aclose())
    portal.close()
