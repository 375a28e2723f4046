"""The signals that a daemon takes, from its first moment to its last."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)
_HANG_UP: Final = frozenset({signal.SIGHUP})


def hold_hang_ups() -> None:
    """Have SIGHUP wait until `hang_ups` takes it: it kills who has not said what to do about it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANG_UP)


@contextlib.contextmanager
def hang_ups(reload: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """Take SIGHUP as the wish to have the configuration read again.

    From a terminal that has been closed it is the wish to stop, as for any program that was started
    there, unless that was done with nohup.

    Args:
        reload: is called in the event loop.
        stop: likewise.
    """
    loop = asyncio.get_running_loop()
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    ends_with_terminal = _has_terminal() and not is_ignored
    is_held = signal.SIGHUP in signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def take() -> None:
        if ends_with_terminal and not _has_terminal():
            stop()
        else:
            reload()

    # not the loop's own way, which would have it kill us for a moment at the end
    before = signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(take))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANG_UP)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_IGN if is_held else before)


@contextlib.contextmanager
def stops(stop: Callable[[], None]) -> Iterator[None]:
    """Take SIGINT and SIGTERM as the wish to stop, the second one as well."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)


def _has_terminal() -> bool:
    """Tell whether there is a controlling terminal (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
