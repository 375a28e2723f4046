"""The group of all commands, and what becomes of their errors.

Exit status: 0 done · 1 a bug · 2 usage or configuration · 3 consent required · 4 temporarily
unavailable · 5 vault sealed · 6 refused · 7 consent not given · 8 registration rejected. A
traceback is shown with ``--debug`` only, before the usual message. Every option has an environment
variable (``CONNECTOR_COMMAND_OPTION``), shown in its help.
"""

import contextlib
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Final, NoReturn

import click

from connector import __version__
from connector.errors import ConnectorError

#: Command → the module that has it, and its help: so that ``--help`` imports no command.
COMMANDS: Final = {
    "init": ("init", "Write a config.toml and make the vault, where there is none."),
    "providers": ("providers", "Show the catalogue of providers, or one of them."),
    "connect": ("connect", "Let a person consent, once, in a browser."),
    "accounts": ("accounts", "List the accounts; rename one; import those of another program."),
    "token": ("token", "Print an access token and nothing else."),
    "exec": ("exec", "Run a program with an access token."),
    "git-credential": ("git_credential", "Give git a token as a password."),
    "docker-credential": ("docker_credential", "Give docker a token as a registry's password."),
    "refresh": ("refresh", "Force one refresh."),
    "revoke": ("revoke", "Revoke accounts at their provider and here."),
    "forget": ("forget", "Remove an account, revoking it first."),
    "jobs": ("jobs", "List, run, pause and resume data pulls; show their history."),
    "vault": (
        "vault",
        "Show, verify and rotate the vault's keys; change its seal; export and import it.",
    ),
    "audit": ("audit", "Show who did what with which account; verify the trail."),
    "keys": ("keys", "Make, list and revoke the API keys of the daemon."),
    "notices": ("notices", "Show what people must know; try the channels that tell them."),
    "serve": ("serve", "Run the daemon: HTTP API and scheduled jobs."),
    "worker": ("worker", "Execute runs of jobs on a further host (Postgres)."),
    "dashboard": ("dashboard", "Sign in to the daemon's dashboard with a one-time code."),
    "ready": ("ready", "Tell whether the daemon should be sent calls."),
    "doctor": ("doctor", "Check everything and say what to do."),
    "demo": ("demo", "See the whole story on this machine, in under a minute."),
}
INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


class _Commands(click.Group):
    """Imports a command when it is called; ends well where nobody reads its output any more."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        with _until_nobody_reads():  # --help prints here
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, context: click.Context) -> object:
        with _until_nobody_reads():
            return super().invoke(context)

    def list_commands(self, _context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"connector.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS:
            import difflib  # what is typed well need not pay for it

            if nearest := difflib.get_close_matches(name, COMMANDS, n=1):
                context.fail(f"No such command {name!r}. Did you mean {nearest[0]}?")
        return super().resolve_command(context, args)

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
    status = run(sys.argv[1:])
    gc.freeze()  # all memory is about to be given back: to look for rings in it would take 0.2 s
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run the command line; give its exit status."""
    try:
        result = connector.main(arguments, prog_name="connector", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
        return 2
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - whatever it is, a person is told
        if _is_debugging(arguments):
            traceback.print_exception(error)
        return tell(error)
    return result if isinstance(result, int) else 0


def tell(error: Exception) -> int:
    """Print an error for people, safe for a terminal, and give its exit status."""
    status = 1
    if isinstance(error, ConnectorError):
        text, status = str(error), error.exit_code
    elif isinstance(error, OSError) and error.strerror:
        # the disk, or what standard output was sent to: the system's word says more than ours
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
        say_no_more()
    else:
        text = f"this is a bug: {type(error).__name__}. Run it again with --debug to see where."
    with contextlib.suppress(OSError):  # nobody reads that either
        for line in text.splitlines() or [type(error).__name__]:
            click.echo(f"connector: {printable_line(line)}", err=True)
    return status


@contextlib.contextmanager
def _until_nobody_reads() -> Iterator[None]:
    """Take a broken pipe (``| head -1``) before click does, which would exit with status 1."""
    try:
        yield
    except BrokenPipeError:
        say_no_more()
        raise click.exceptions.Exit(0) from None


def say_no_more() -> None:
    """Let standard output lead nowhere, so that what it still holds does no harm at the end."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)


def printable_line(line: str) -> str:
    """Escape what a terminal would obey instead of show (CHECKLIST 158)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def _is_debugging(arguments: list[str]) -> bool:
    return "--debug" in arguments or os.environ.get("CONNECTOR_DEBUG", "") not in {"", "0"}
