import click
import pytest

from connector.cli.main import COMMANDS, connector
from tests.reference import REFERENCE, generate, options


def test_the_reference_is_what_the_commands_say() -> None:
    assert REFERENCE.read_text() == generate(), "regenerate it: make docs"


@pytest.mark.parametrize(
    ("path", "option"), options(), ids=lambda value: value if isinstance(value, str) else value.name
)
def test_every_option_has_an_environment_variable_in_its_help(
    path: str, option: click.Option
) -> None:
    if option.name in {"version", "help"}:
        return
    assert option.show_envvar, f"{path} {option.name}"
    assert option.help, f"{path} {option.name}"


def test_the_help_of_the_group_says_what_the_commands_say() -> None:
    """The group's own list is a copy, so that help imports no command: it must not drift."""
    context = click.Context(connector)
    for name, (_, text) in COMMANDS.items():
        command = connector.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert text.endswith(".")
        assert command.help
