"""A command is told on its standard input, without a shell, within its time."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from connector.notices.channel import Undelivered
from connector.notices.command import CommandChannel
from tests.unit.jobs.bench import wait_for_end

from .messages import NOW, a_message


def channel(folder: Path, code: str, *more: str, limit: float = 20.0) -> CommandChannel:
    return CommandChannel(
        (sys.executable, "-c", code, *more),
        folder=folder,
        hidden_variables={"HOOK_CANARY"},
        limit=limit,
    )


async def test_it_reads_one_line_of_json_in_the_configuration_s_folder(tmp_path: Path) -> None:
    code = "import sys, pathlib; pathlib.Path('told').write_text(sys.stdin.read())"
    await channel(tmp_path, code).send(a_message(), now=NOW)
    text = (tmp_path / "told").read_text()
    assert text.count("\n") == 1
    assert json.loads(text) == a_message().body


async def test_arguments_are_no_shell_s(tmp_path: Path) -> None:
    code = "import sys; assert sys.argv[1:] == ['$HOME; touch x', '*'], sys.argv"
    await channel(tmp_path, code, "$HOME; touch x", "*").send(a_message(), now=NOW)
    assert os.listdir(tmp_path) == []  # noqa: PTH208 - in a coroutine


async def test_variables_that_hold_secrets_are_not_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOOK_CANARY", "a secret")
    monkeypatch.setenv("HOOK_OTHER", "no secret")
    code = "import os; assert 'HOOK_CANARY' not in os.environ and os.environ['HOOK_OTHER']"
    await channel(tmp_path, code).send(a_message(), now=NOW)


async def test_a_program_in_the_folder(tmp_path: Path) -> None:
    script = tmp_path / "hook"
    script.write_text("#!/bin/sh\ncat > told\n")
    script.chmod(0o700)
    command = CommandChannel(("./hook",), folder=tmp_path, hidden_variables=())
    await command.send(a_message(), now=NOW)
    assert (tmp_path / "told").read_text().startswith('{"type": "notice.opened"')


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; sys.exit(3)", "exit status 3"),
        ("print('no\\x1b[31m such chat\\nmore'); 1/0", "exit status 1: no[31m such chat"),
        ("import os; os.kill(os.getpid(), 9)", "exit status -9"),
    ],
)
async def test_a_failure_is_told_in_a_line(tmp_path: Path, code: str, message: str) -> None:
    with pytest.raises(Undelivered, match=re.escape(message)) as raised:
        await channel(tmp_path, code).send(a_message(), now=NOW)
    assert str(raised.value).isprintable()


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    command = CommandChannel(("no-such-program",), folder=tmp_path, hidden_variables=())
    with pytest.raises(Undelivered, match="cannot be started: No such file"):
        await command.send(a_message(), now=NOW)


async def test_what_it_prints_does_not_pile_up(tmp_path: Path) -> None:
    """Ten million bytes are more than a pipe holds, and more than is kept."""
    code = "import sys; sys.stdout.write('x' * 10_000_000); sys.exit(1)"
    with pytest.raises(Undelivered) as raised:
        await channel(tmp_path, code).send(a_message(), now=NOW)
    assert len(str(raised.value)) < 400


async def test_it_need_not_read(tmp_path: Path) -> None:
    await channel(tmp_path, "import os; os.close(0)").send(a_message(), now=NOW)


async def test_one_that_takes_too_long_is_killed_with_what_it_has_started(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    with pytest.raises(Undelivered, match="took longer than 3 s"):
        await channel(tmp_path, code, limit=3).send(a_message(), now=NOW)
    wait_for_end(int((tmp_path / "child").read_text()))


async def test_what_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    """A program in the background holds standard output."""
    code = (
        "import pathlib, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('child').write_text(str(child.pid))"
    )
    try:
        await channel(tmp_path, code).send(a_message(), now=NOW)
    finally:
        os.kill(int((tmp_path / "child").read_text()), 9)
