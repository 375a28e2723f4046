"""Writes ``docs/reference/cli.md`` from the commands themselves; a test holds it true.

``python -m tests.reference --write`` (``make docs``) regenerates it.
"""

import sys
from pathlib import Path

import click

from connector.cli.main import COMMANDS, connector

REFERENCE = Path(__file__).parents[1] / "docs" / "reference" / "cli.md"

_HEAD = """\
# Command line

`connector`, also `python -m connector`.
Generated from the commands (`make docs`); every option has an environment variable.

Exit status: 0 done · 1 a bug · 2 usage or configuration · 3 consent required · 4 temporarily
unavailable · 5 vault sealed · 6 refused · 7 consent not given · 8 registration rejected · 130
interrupted.
"""


def generate() -> str:
    """Give the reference of all commands."""
    context = click.Context(connector, info_name="connector", **connector.context_settings)
    parts = [_HEAD]
    for name in COMMANDS:
        command = connector.get_command(context, name)
        assert command is not None
        parts += _sections(command, name, context)
    return "\n".join(parts)


def _sections(command: click.Command, name: str, parent: click.Context) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent, max_content_width=100)
    heading = context.command_path
    sections = [f"## {heading}\n\n```text\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            child = command.get_command(context, sub)
            assert child is not None
            sections += _sections(child, sub, context)
    return sections


def options() -> list[tuple[str, click.Option]]:
    """Give every option of every command, with the command's path."""
    found: list[tuple[str, click.Option]] = []

    def walk(command: click.Command, path: str) -> None:
        found.extend((path, p) for p in command.params if isinstance(p, click.Option))
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                assert child is not None
                walk(child, f"{path} {name}")

    walk(connector, "connector")
    return found


if __name__ == "__main__":
    if "--write" in sys.argv:
        REFERENCE.write_text(generate())
    else:
        sys.stdout.write(generate())
