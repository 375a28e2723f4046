"""Checks of ``[notify]``: whether each channel could be made; nothing is sent."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from connector.cli.checkup.finding import Finding, ok, warning
from connector.errors import ConfigurationError
from connector.settings import Settings


def check_channels(settings: Settings) -> Iterator[Finding]:
    """Check the channels by which people are told."""
    notify = settings.notify
    if not (notify.command or notify.webhooks or notify.urls):
        yield ok("notices", "no channel is set: connector notices shows what there is")
        return
    from connector.notices.channels import make_channels

    try:
        channels = make_channels(settings, hidden_variables=())
    except ConfigurationError as error:
        for problem in error.problems:
            yield Finding(
                subject="notices",
                verdict="problem",
                message=str(problem._replace(remedy="")),
                remedy=problem.remedy,
            )
        return
    if notify.command and not _is_there(notify.command[0], settings.folder):
        message = f"there is no program {notify.command[0]}"
        yield warning("notices", message, "check notify.command")
        return
    names = ", ".join(channel.name for channel in channels)
    yield ok("notices", f"can be sent by {names}; to see: connector notices test")


def _is_there(program: str, folder: Path) -> bool:
    """Tell whether a program can be started."""
    path = str(folder / Path(program).expanduser()) if "/" in program else program
    return shutil.which(path) is not None
