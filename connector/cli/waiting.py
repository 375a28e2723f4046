"""Takes the answer to a consent, wherever it comes to.

Three ways lead to one end, and whichever answers first wins: the browser comes to our loopback
listener; or to the daemon, where that holds the redirect URI's port; or the person pastes the
address of the page that the provider sent them to.
"""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlsplit

import click

from connector import errors
from connector.consent import CompletedConsent, StartedConsent, UnknownConsent, redirect_path
from connector.consent.outcome import restore
from connector.oauth.authorization_request import ResponseRejected, parse_response
from connector.oauth.endpoint_url import is_loopback_host
from connector.providers.provider import Provider
from connector.runtime import Runtime
from connector.web.listener import RedirectListener
from connector.web.redirection import Redirection, Work
from connector.web.server import PortTaken, bind_loopback, is_listening

#: How often the store is asked whether the daemon has completed the consent.
POLL_INTERVAL: Final = 0.3


class Waiting:
    """Waits for the answer, wherever it comes to.

    Args:
        runtime: completes it.
        redirect_uri: where the provider sends the person.
        listener: ours, or None where the daemon holds the port, or nobody here can listen.
    """

    def __init__(self, runtime: Runtime, redirect_uri: str) -> None:
        self.redirect_uri = redirect_uri
        parts = urlsplit(redirect_uri)._replace(path=redirect_path(redirect_uri), query="")
        self._address = parts.geturl()
        self.listener: RedirectListener | None = None
        self._runtime = runtime
        self._is_shown_here = False
        self._answered: asyncio.Future[Work] = asyncio.get_running_loop().create_future()
        self._own = Redirection(
            runtime.consents, runtime.settings.providers.__getitem__, on_answer=self.note
        )

    def note(self, _consent_id: str, work: Work) -> None:
        """Take note of an answer."""
        if not self._answered.done():
            self._answered.set_result(work)

    def note_from_browser(self, consent_id: str, work: Work) -> None:
        """Take note of an answer to our listener, whose browser waits for the last page."""
        self._is_shown_here = True
        self.note(consent_id, work)

    async def completed(self, started: StartedConsent, *, take_paste: bool) -> CompletedConsent:
        """Wait until the consent is complete.

        Raises:
            ConnectorError: as `Consents.complete`.
        """
        helpers = [asyncio.create_task(self._watch_daemon(started))] if not self.listener else []
        if take_paste:
            helpers.append(asyncio.create_task(self._read_pasted(started)))
        try:
            work = await asyncio.shield(self._answered)  # it may be waited for again
            completed = await asyncio.shield(work)
        finally:
            for helper in helpers:
                helper.cancel()
            if self.listener is not None and self._is_shown_here:
                await self.listener.wait_until_shown()
        return completed

    async def _watch_daemon(self, started: StartedConsent) -> None:
        """Notice when the daemon has completed the consent."""
        while True:
            with contextlib.suppress(errors.TemporarilyUnavailable):  # the store may come back
                record = await self._runtime.consents.records.get(started.id)
                if record is not None and record.outcome is not None:
                    result = restore(record, self._runtime.accounts)
                    self.note(started.id, asyncio.create_task(result))
                    return
            await asyncio.sleep(POLL_INTERVAL)

    async def _read_pasted(self, started: StartedConsent) -> None:
        """Take the final redirect URL from standard input; say what is wrong with anything else."""
        async for line in _lines_of_standard_input():
            problem = await self._take_pasted(started, line.strip())
            if problem is None:
                return
            if problem:
                click.echo(f"connector: {problem}", err=True)

    async def _take_pasted(self, started: StartedConsent, line: str) -> str | None:
        """Complete the consent with a pasted URL; give what is wrong with it, or None."""
        if not line:
            return ""
        address, path = urlsplit(line)._replace(query="", fragment=""), redirect_path(line)
        if address._replace(path=path).geturl() != self._address:
            return f"paste the whole address that begins with {self.redirect_uri}?"
        try:
            response = parse_response(urlsplit(line).query)
            record = await self._runtime.consents.find(response)
        except ResponseRejected as error:
            return f"this address cannot be used: {error}"
        except UnknownConsent:
            return "this address belongs to another consent: its state does not match"
        if record.id != started.id:
            return "this address belongs to another consent: its state does not match"
        self._own.complete(record, response, arrived_at=path)
        return None


@contextlib.asynccontextmanager
async def listening(runtime: Runtime, provider: Provider) -> AsyncIterator[Waiting]:
    """Listen on the redirect URI, or leave that to the daemon where it holds the port.

    Raises:
        ConfigurationError: nobody can take the answer; says what to do.
    """
    redirect_uri = provider.redirect_uri
    parts = urlsplit(redirect_uri)
    host = parts.hostname or ""
    is_daemons = parts.port == runtime.settings.daemon.port
    sockets = []
    if is_loopback_host(host):
        try:
            sockets = bind_loopback(host, parts.port or 0)
        except PortTaken:
            if not (is_daemons and _has_daemon(runtime)):
                daemon = ", start the daemon (connector serve)" if is_daemons else ""
                remedy = f"stop the program that holds it{daemon}, or register another port"
                raise _unheard(runtime, provider, "the port is taken", remedy) from None
        except OSError as error:
            message = f"cannot be listened on: {error.strerror}"
            remedy = "register another one, such as http://127.0.0.1/callback/" + provider.name
            raise _unheard(runtime, provider, message, remedy) from None
        else:
            authority = f"[{host}]" if ":" in host else host
            port = sockets[0].getsockname()[1]
            redirect_uri = parts._replace(netloc=f"{authority}:{port}").geturl()
    elif not _has_daemon(runtime):
        remedy = (
            "start the daemon that stands behind it (connector serve), or register a loopback one"
        )
        raise _unheard(runtime, provider, "is not on this machine", remedy)
    waiting = Waiting(runtime, redirect_uri)
    if not sockets:
        yield waiting
        return
    providers = runtime.settings.providers
    listener = RedirectListener(
        sockets, redirect_uri, runtime.consents, providers.__getitem__, waiting.note_from_browser
    )
    await listener.start()
    waiting.listener = listener
    try:
        yield waiting
    finally:
        await listener.aclose()


def _has_daemon(runtime: Runtime) -> bool:
    socket = runtime.settings.daemon.socket
    return socket is not None and is_listening(socket)


def _unheard(
    runtime: Runtime, provider: Provider, message: str, remedy: str
) -> errors.ConfigurationError:
    """Say why nobody here could take the answer."""
    key = f"providers.{provider.name}.redirect_uri"
    problem = f"{provider.redirect_uri}: {message}"
    source = runtime.settings.path.name
    return errors.ConfigurationError([errors.Problem(source, key, problem, remedy)])


async def _lines_of_standard_input() -> AsyncIterator[str]:
    """Give the lines of standard input; its end is no answer, so the waiting goes on."""
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def read() -> None:
        # the file descriptor itself: a thread left waiting in sys.stdin would hold its lock at exit
        rest = b""
        with contextlib.suppress(RuntimeError, OSError):  # the loop or the input is closed
            while chunk := os.read(0, 64 * 1024):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    loop.call_soon_threadsafe(queue.put_nowait, line.decode("utf-8", "replace"))
            loop.call_soon_threadsafe(queue.put_nowait, rest.decode("utf-8", "replace") or None)

    threading.Thread(target=read, name="standard input", daemon=True).start()
    while (line := await queue.get()) is not None:
        yield line
