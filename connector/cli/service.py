"""What the commands that run until they are stopped have in common."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from connector.cli.core_dumps import forbid_core_dumps
from connector.cli.options import config_path, is_debugging, option

if TYPE_CHECKING:
    from connector.daemon import ServiceManager
    from connector.settings import Settings

Command = TypeVar("Command", bound=Callable[..., object])


def log_format_option(command: Command) -> Command:
    """Add ``--log-format`` to a command."""
    return option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        default="console",
        show_default=True,
        help="How log lines on standard error look.",
    )(command)


def begin(log_format: str, config: str | None) -> "tuple[Settings, ServiceManager]":
    """Hold SIGHUP back, begin to log, read the configuration, and forbid core dumps.

    Args:
        log_format: ``console`` or ``json``.
        config: as it was given.

    Raises:
        ConfigurationError: it has problems.
    """
    from connector.daemon import ServiceManager, hold_hang_ups
    from connector.log import LogFormat, configure_logging
    from connector.settings import load_settings

    hold_hang_ups()
    manager = ServiceManager.take_from(os.environ)
    level = "DEBUG" if is_debugging() else "INFO"
    style: LogFormat = "json" if log_format == "json" else "console"
    configure_logging(level, style, is_threaded=True)
    settings = load_settings(config_path(config))
    forbid_core_dumps()
    return settings, manager
