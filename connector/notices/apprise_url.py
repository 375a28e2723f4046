"""A channel that hands a notice to Apprise, which knows chat, mail and telephones (an extra).

Apprise blocks, so it runs in a thread of its own; one that takes too long is left behind, and until
it ends its channel tells nothing more. Its own log is kept quiet: it may quote addresses, which
hold tokens.
"""

import asyncio
import contextlib
import importlib.util
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Final

from connector.errors import ConfigurationError, Problem
from connector.notices.channel import SEND_TIME, Undelivered
from connector.notices.wording import Message
from connector.secret import Secret

if TYPE_CHECKING:
    import apprise

_TYPES: Final = {"info": "info", "warning": "warning", "error": "failure"}


class AppriseChannel:
    """Hands notices to one Apprise URL.

    Args:
        name: as of every channel.
        url: not shown, for it holds tokens.
        source: the configuration's file, for messages.
        key: that has the URL, likewise.
        limit: seconds that it may take.

    Raises:
        ConfigurationError: Apprise is not installed, or knows nothing of such a URL.
    """

    def __init__(
        self, *, name: str, url: Secret, source: str, key: str, limit: float = SEND_TIME
    ) -> None:
        self.name = name
        self._limit = limit
        self._busy: threading.Thread | None = None
        self._target = _target(url, source, key)

    async def send(self, message: Message, *, now: float) -> None:  # noqa: ARG002
        """Hand it over once; see `channel.Channel`."""
        if self._busy is not None and self._busy.is_alive():
            raise Undelivered("what was sent before has not come to an end")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()

        def notify() -> None:
            try:
                is_sent = self._notify(message)
            except Exception:  # noqa: BLE001 - a plugin's; its text may hold the URL
                is_sent = False
            with contextlib.suppress(RuntimeError):  # the event loop is gone: nobody waits
                loop.call_soon_threadsafe(_resolve, done, is_sent)

        self._busy = threading.Thread(target=notify, name=self.name, daemon=True)
        self._busy.start()
        try:
            async with asyncio.timeout(self._limit):
                is_sent = await done
        except TimeoutError:
            raise Undelivered(f"it took longer than {self._limit:g} s") from None
        if not is_sent:
            raise Undelivered("the service did not take it")

    async def aclose(self) -> None:
        """Nothing is held."""

    def _notify(self, message: Message) -> bool:
        from apprise import NotifyFormat, NotifyType

        return bool(
            self._target.notify(
                body=message.text,
                title=message.title,
                notify_type=NotifyType(_TYPES[message.severity]),
                body_format=NotifyFormat.TEXT,
            )
        )


def _resolve(done: "asyncio.Future[bool]", is_sent: bool) -> None:  # noqa: FBT001
    if not done.done():
        done.set_result(is_sent)


def _target(url: Secret, source: str, key: str) -> "apprise.Apprise":
    """Make what sends.

    Raises:
        ConfigurationError: see `AppriseChannel`.
    """
    if importlib.util.find_spec("apprise") is None:
        remedy = "type: pip install connector[notify]"
        raise ConfigurationError([Problem(source, key, "needs the package apprise", remedy)])
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of what its plugins import
        import apprise  # an extra, and slow to import

        target = apprise.Apprise()
        is_known = target.add(url.reveal())
    if not is_known:
        message = "is no URL that Apprise knows"
        remedy = "see https://github.com/caronc/apprise/wiki"
        raise ConfigurationError([Problem(source, key, message, remedy)])
    return target
