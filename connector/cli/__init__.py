"""The command line. Each command is imported when it is called, so that starting costs little."""

import sys


def main() -> None:
    """Run the command line and exit with its status."""
    if sys.argv[1:2] == ["token"]:
        from connector.cli.shortcut import run

        status = run(sys.argv[1:])
        if status is not None:
            sys.exit(status)
    from connector.cli.main import main as whole

    whole()
