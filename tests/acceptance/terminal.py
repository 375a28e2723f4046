"""A terminal with a command at it, and a person who reads and types."""

import os
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from .installation import PATIENCE

#: Makes the terminal its own before it becomes the command.
_LAUNCH: Final = (
    "import os, sys; os.login_tty(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])"
)


class Terminal:
    """One ``connector`` command with a terminal of its own.

    Args:
        arguments: of the command.
        folder: in which it runs.
        environment: of the command.

    Attributes:
        shown: all that the terminal has shown.
        process: the command.
    """

    def __init__(self, *arguments: str, folder: Path, environment: Mapping[str, str]) -> None:
        self._master, slave = os.openpty()
        command = [sys.executable, "-c", _LAUNCH, str(slave), sys.executable, "-m", "connector"]
        self.process = subprocess.Popen(
            [*command, *arguments], cwd=folder, env=environment, pass_fds=[slave]
        )
        os.close(slave)
        self.shown = ""
        self._expected = 0
        self._ends_at = time.monotonic() + PATIENCE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._master)

    def expect(self, text: str) -> None:
        """Read until a text is shown, after what was expected before."""
        while text not in self.shown[self._expected :]:
            assert self._read(), f"{text!r} was not shown: {self.shown}"
        self._expected = self.shown.index(text, self._expected) + len(text)

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._master, text.encode())

    def shows_what_is_typed(self) -> bool:
        """Tell whether the terminal echoes."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def finish(self) -> int:
        """Read to the end; give the exit status."""
        while self._read():
            pass
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        """Read what is shown next; False where the command has let go of the terminal."""
        left = self._ends_at - time.monotonic()
        assert left > 0, f"nothing more was shown: {self.shown}"
        if select.select([self._master], [], [], left)[0]:
            try:
                shown = os.read(self._master, 4096)
            except OSError:  # Linux: EIO once nobody has it open
                return False
            self.shown += shown.decode()
            return bool(shown)
        return True
