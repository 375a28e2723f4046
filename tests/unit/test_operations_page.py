"""The page for operators names commands, options, states and sections that are there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from connector import errors
from connector.cli.main import COMMANDS, connector

ROOT = Path(__file__).parents[2]
OPERATIONS = ROOT / "docs" / "operations.md"
PAGES = [
    OPERATIONS,
    ROOT / "docs" / "reference" / "log.md",
    ROOT / "examples" / "deployment" / "README.md",
]


def commands_on(page: Path) -> Iterator[list[str]]:
    """Give the words after ``connector`` of each call, in a span or in a block of code."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    calls = [line for block in blocks for line in block.splitlines()]
    calls += re.findall(
        r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    )
    for call in calls:
        words = shlex.split(call.replace("…", "X"), comments=True)
        for place, word in enumerate(words):
            is_call = word in {"connector", "connector-admin"} and words[:place] in (
                [],
                ["docker", "compose", "exec", "connector"],
            )
            if is_call and place + 1 < len(words):
                yield words[place + 1 :]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_is_there(page: Path) -> None:
    found = list(commands_on(page))
    assert len(found) >= 2
    for words in found:
        command: click.Command = connector
        rest = list(words)
        while isinstance(command, click.Group) and rest:
            part = command.get_command(click.Context(command), rest[0])
            if part is None and command is not connector and rest[0].startswith("-"):
                break  # options of a group that lists by itself
            assert part is not None, words
            command = part
            rest.pop(0)
        options = {name for parameter in command.params for name in parameter.opts}
        for word in rest:
            assert not word.startswith("--") or word in options, words


def test_the_commands_that_operators_need_are_on_the_page() -> None:
    named = {words[0] for words in commands_on(OPERATIONS)}
    assert {"init", "serve", "doctor", "ready", "vault", "audit", "keys", "refresh"} <= named
    assert named <= set(COMMANDS)


def test_every_exit_status_is_explained() -> None:
    table = OPERATIONS.read_text().partition("### By exit status")[2].partition("### ")[0]
    explained = {int(number) for number in re.findall(r"^\| (\d) \|", table, re.MULTILINE)}
    kinds = [one for one in vars(errors).values() if isinstance(one, type)]
    known = {one.exit_code for one in kinds if issubclass(one, errors.ConnectorError)}
    assert explained == known


def test_what_is_not_ready_is_named_as_the_daemon_does() -> None:
    (row,) = re.findall(r"^\| `GET /readyz` \|(.*)$", OPERATIONS.read_text(), re.MULTILINE)
    _, _, named = row.partition("`not_ready`:")
    states = set(re.findall(r"`(\w+)`", named))
    assert {"stopping", "store"} <= states
    serving = (ROOT / "connector" / "daemon" / "serving.py").read_text()
    watched = set(re.findall(r'readiness\.watch\("(\w+)"', serving))
    assert states == watched | {"stopping", "store"}


def test_its_sections_lead_somewhere() -> None:
    """Links to headings, of this page and to this page."""
    text = OPERATIONS.read_text()
    headings = {
        re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    wanted = set(re.findall(r"\]\(#([\w-]+)\)", text))
    for page in (*ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"), ROOT / "README.md"):
        wanted |= set(re.findall(r"operations\.md#([\w-]+)\)", page.read_text()))
    assert len(wanted) >= 3
    assert wanted <= headings


def test_the_actions_it_explains_are_on_the_page_of_the_log() -> None:
    log = (ROOT / "docs" / "reference" / "log.md").read_text()
    table = OPERATIONS.read_text().partition("### By what the log says")[2]
    actions = [
        action
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for action in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)
    ]
    assert len(actions) >= 8
    assert [action for action in actions if f"`{action}`" not in log] == []
