"""What is shown while a job's runs are under way; showing it can end no run."""

import contextlib
import os
import sys

import click

from connector.cli.main import printable_line


class RunDisplay:
    """Prints a line for each account as its run ends."""

    def line(self, text: str) -> None:
        """Print a line, as long as somebody reads."""
        try:
            click.echo(printable_line(text))
        except OSError:  # the reader has gone (EPIPE), or its terminal (EIO)
            _discard_output()


def _discard_output() -> None:
    """Send standard output nowhere: what its buffer holds must not fail again at the exit."""
    with contextlib.suppress(OSError, ValueError):  # there may be no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
