"""What a terminal shows while runs are under way."""

import io
import os
import pty
import threading

import pytest
from rich.console import Console

from connector.cli.run_display import RunDisplay
from tests.unit.cli.conftest import Commands


def read_on(terminal: int) -> bytes:
    """Read what a terminal is sent; nothing at its end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # EIO: nobody has it open any more
        return b""


def test_a_bar_on_a_terminal() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120, force_interactive=True)
    with RunDisplay("pull", 3, console) as display:
        display.note("acme/ads", 1000)
        display.note("acme/other", 5)
        display.note("acme/ads", 2000)
        display.end("acme/ads: succeeded, 2000 records")
        display.end("[bold]\x1b[2J" + "x" * 200)
    shown = screen.getvalue()
    assert "2/3 accounts, 2005 records" in shown
    assert "acme/ads: succeeded, 2000 records\n" in shown
    assert "[bold]\\x1b[2J" + "x" * 200 in shown, "as it is, and in one line"


def test_lines_alone_anywhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    with RunDisplay("pull", 1) as display:
        display.note("acme/ads", 5)
        display.end("acme/ads: succeeded, 5 records")
    assert capsys.readouterr().out == "acme/ads: succeeded, 5 records\n"


def test_a_terminal_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        with RunDisplay("pull", 1, Console(file=screen)) as display:
            display.note("acme/ads", 5)
            os.close(leader)
            display.end("acme/ads: succeeded, 5 records")
        display.line("pull: 1 of 1 succeeded")
        monkeypatch.undo()


def test_a_whole_run(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.bench.connect_apart()
    commands.write("def pull(api, context): return [{'id': 1}, {'id': 2}]")
    leader, follower = pty.openpty()
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.extend(iter(lambda: read_on(leader), b"")))
    reader.start()
    with os.fdopen(follower, "w") as screen:
        monkeypatch.setattr("sys.stdout", screen)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "120")
        assert commands.run("jobs", "run", "pull") == 0
        monkeypatch.undo()
    reader.join()
    os.close(leader)
    shown = b"".join(read).decode()
    assert "0/1 accounts, 0 records" in shown
    assert "acme/ads: succeeded, 2 records" in shown
    assert shown.rstrip().endswith("pull: 1 of 1 succeeded")
