"""Asks the person at the terminal for something secret, and does not show it.

Interrupting gives up at once: the question may be asked in a thread, which no signal reaches. The
terminal is put back as it was, also where the process ends while the question stands.
"""

import atexit
import contextlib
import os
from collections.abc import Iterator
from typing import Final

from connector.errors import VaultSealed

#: Nobody types more; a terminal's own line has 4,096 bytes at most.
LONGEST_LINE: Final = 4096
_INTERRUPT: Final = b"\x03"


def has_terminal() -> bool:
    """Tell whether there is a terminal that we may ask at."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # a job in the background would be stopped for asking
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)


def ask(question: str) -> str:
    """Ask, and give the line that was typed.

    Raises:
        VaultSealed: there is no terminal, or the person gave up.
    """
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise VaultSealed(f"there is no terminal to ask at: {error.strerror}") from None
    try:
        with _silent(descriptor):
            os.write(descriptor, question.encode())
            line = os.read(descriptor, LONGEST_LINE)
        # once it is as it was: who sees the line end may type what comes next
        os.write(descriptor, b"\n")
    except OSError as error:
        raise VaultSealed(f"the terminal failed: {error.strerror}") from None
    finally:
        os.close(descriptor)
    if not line or line.endswith(_INTERRUPT):
        raise VaultSealed("no passphrase was given", "Nothing was changed.")
    try:
        return line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        raise VaultSealed("what was typed is not UTF-8 text") from None


def tell(text: str) -> None:
    """Show a line on the terminal that was asked at."""
    with contextlib.suppress(OSError):
        descriptor = os.open("/dev/tty", os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            os.write(descriptor, f"{text}\n".encode())
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _silent(descriptor: int) -> Iterator[None]:
    """Show nothing that is typed; an interrupt ends the line instead of killing us."""
    import termios

    before = termios.tcgetattr(descriptor)
    silent = termios.tcgetattr(descriptor)
    silent[3] &= ~(termios.ECHO | termios.ISIG)
    silent[6][termios.VEOL] = _INTERRUPT

    def restore() -> None:
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)

    atexit.register(restore)
    try:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, silent)
        yield
    except termios.error as error:
        raise OSError(*error.args) from None
    finally:
        restore()
        atexit.unregister(restore)
