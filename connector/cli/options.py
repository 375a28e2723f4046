"""Options that several commands share; each shows its environment variable in its help."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from connector.account_name import check_account_name

F = TypeVar("F", bound=Callable[..., Any])

_JSON: Final = "connector.json"


def option(*declarations: str, **attributes: Any) -> Callable[[F], F]:
    """Declare an option as `click.option` does; its environment variable is shown in its help."""
    return click.option(*declarations, show_envvar=True, **attributes)


def common_options(command: F) -> F:
    """Add ``--config`` and ``--debug``, which every command takes."""
    with_debug = option(
        "--debug",
        is_flag=True,
        expose_value=False,
        envvar="CONNECTOR_DEBUG",
        callback=_note_common,
        help="Show tracebacks and everything that happens.",
    )(command)
    return option(
        "--config",
        type=click.Path(dir_okay=False),
        envvar="CONNECTOR_CONFIG",
        help="The configuration file.",
    )(with_debug)


def json_option(command: F) -> F:
    """Add ``--json``; where it stands before a subcommand it holds for that."""
    return option(
        "--json", is_flag=True, callback=_pass_json_on, help="Print JSON instead of text."
    )(command)


def config_path(config: str | None) -> str | None:
    """Give the configuration's path: the command's own option, or that before the command."""
    if config is not None:
        return config
    context = click.get_current_context()
    obj = context.find_root().obj or {}
    value: str | None = obj.get("config")
    return value


def account_name(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Check the name of an account that is about to be made (a click callback)."""
    try:
        return check_account_name(value)
    except ValueError as error:
        raise click.BadParameter(str(error), param=parameter) from None


def _note_common(context: click.Context, _option: click.Parameter, value: object) -> None:
    """Note ``--debug``; refuse a ``--json`` that was given to a command which shows nothing.

    One from the environment is a default for what lists, and no wish of this call.
    """
    if value:
        context.find_root().ensure_object(dict)["debug"] = True
    shows_json = any(parameter.name == "json" for parameter in context.command.params)
    if context.meta.get(_JSON) is ParameterSource.COMMANDLINE and not shows_json:
        raise click.UsageError(f"{context.info_name} lists nothing: leave out --json", context)


def _pass_json_on(context: click.Context, parameter: click.Parameter, value: object) -> bool:
    """Remember ``--json`` for a subcommand, whose context shares `meta`."""
    if value:
        source = context.get_parameter_source(parameter.name or "")
        context.meta.setdefault(_JSON, source)
    return _JSON in context.meta


def is_debugging() -> bool:
    """Tell whether ``--debug`` was given."""
    obj = click.get_current_context().find_root().obj or {}
    return bool(obj.get("debug"))
