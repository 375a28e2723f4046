"""The group of all commands, and what becomes of their errors.

Exit status: 0 done · 1 a bug · 2 usage or configuration · 3 consent required · 4 temporarily
unavailable · 5 vault sealed · 6 refused · 7 consent not given · 8 registration rejected. A
traceback is shown with ``--debug`` only. Every option has an environment variable
(``CONNECTOR_COMMAND_OPTION``), shown in its help.
"""

import importlib
import os
import sys
from typing import Final, NoReturn

import click

from connector import __version__
from connector.errors import ConnectorError

#: Command → the module that has it, and its help: so that ``--help`` imports no command.
COMMANDS: Final = {
    "init": ("init", "Write a config.toml and make the vault, where there is none."),
    "providers": ("providers", "Show the catalogue of providers, or one of them."),
    "connect": ("connect", "Let a person consent, once, in a browser."),
    "accounts": ("accounts", "List the accounts; rename one."),
    "token": ("token", "Print an access token and nothing else."),
    "refresh": ("refresh", "Force one refresh."),
    "revoke": ("revoke", "Revoke accounts at their provider and here."),
    "forget": ("forget", "Remove an account, revoking it first."),
    "jobs": ("jobs", "List, run, pause and resume data pulls; show their history."),
    "serve": ("serve", "Run the daemon: HTTP API and scheduled jobs."),
    "doctor": ("doctor", "Check everything and say what to do."),
    "demo": ("demo", "See the whole story on this machine, in under a minute."),
}
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


class _Commands(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"connector.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=_Commands,
    context_settings={
        "auto_envvar_prefix": "CONNECTOR",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
    },
)
@click.option(
    "--config",
    type=click.Path(dir_okay=False),
    envvar="CONNECTOR_CONFIG",
    show_envvar=True,
    help="The configuration file; else ./config.toml, then the user's configuration folder.",
)
@click.option(
    "--debug", is_flag=True, show_envvar=True, help="Show tracebacks and everything that happens."
)
@click.version_option(__version__, message="connector %(version)s")
@click.pass_context
def connector(context: click.Context, config: str | None, *, debug: bool) -> None:
    """Consent once in a browser; from then on every job and program gets a valid access token."""
    context.ensure_object(dict)
    context.obj["config"] = config
    context.obj["debug"] = debug


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run the command line; give its exit status."""
    try:
        result = connector.main(arguments, prog_name="connector", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone; nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ConnectorError as error:
        if _is_debugging(arguments):
            raise
        return _tell(error)
    except Exception as error:
        if _is_debugging(arguments):
            raise
        click.echo(
            f"connector: this is a bug: {type(error).__name__}. "
            "Run it again with --debug to see where.",
            err=True,
        )
        return 1
    return result if isinstance(result, int) else 0


def _tell(error: ConnectorError) -> int:
    """Print an error for people, safe for a terminal, and give its exit status."""
    for line in str(error).splitlines() or [type(error).__name__]:
        click.echo(f"connector: {printable_line(line)}", err=True)
    return error.exit_code


def printable_line(line: str) -> str:
    """Escape what a terminal would obey instead of show (CHECKLIST 158)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _is_debugging(arguments: list[str]) -> bool:
    return "--debug" in arguments or os.environ.get("CONNECTOR_DEBUG", "") not in {"", "0"}
