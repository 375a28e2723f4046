"""The command line. Each command is imported when it is called, so that starting costs little."""

import os
import sys


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        open_closed_streams()
        if sys.argv[1:2] == ["token"]:
            from connector.cli.shortcut import run

            status = run(sys.argv[1:])
            if status is not None:
                sys.exit(status)
        from connector.cli.main import main as whole

        whole()
    except KeyboardInterrupt:  # while modules were imported
        sys.exit(130)


def open_closed_streams() -> None:
    """Let a standard stream that is closed (``>&-``) lead nowhere.

    Otherwise the next file that is opened, such as the vault, would bear its number, and whatever
    writes to standard output would write into that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
