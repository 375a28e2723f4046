"""Tables on terminals of any width, and numbers of things."""

import re
import sys

import pytest

from connector.cli.output import counted, print_table, rows_told

COLUMNS = ("started", "account", "outcome", "error")
ROW = ["2026-11-26T21:35:19Z", "customers/a-long-name/facebook", "failed", "it broke " * 9]


def plain(shown: str) -> str:
    """Give what a terminal showed without its colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", shown)


@pytest.mark.parametrize("width", [72, 200])
def test_nothing_but_prose_is_broken_into_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, [ROW, [*ROW[:3], "-"]], empty="")
    shown = plain(capsys.readouterr().out)
    for cell in ROW[:3]:
        assert shown.count(cell) == 2
    assert [line for line in shown.splitlines() if len(line) > width] == []
    assert shown.split().count("broke") == 9


def test_a_narrow_terminal_gets_blocks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(COLUMNS, [[*ROW[:3], "-"]], empty="")
    assert plain(capsys.readouterr().out).splitlines() == [
        "2026-11-26T21:35:19Z",
        "    account customers/a-long-name/facebook, outcome failed",
    ]


def test_numbers_of_things() -> None:
    assert [counted(n, "run") for n in (0, 1, 2, 1200)] == [
        "0 runs",
        "1 run",
        "2 runs",
        "1200 runs",
    ]
    one = {"account": 1, "revocation": 1, "paused_job": 1, "run": 1}
    assert rows_told(one) == "1 account, 1 debt of revocation, 1 paused job, 1 run"
    assert rows_told({}) == "0 accounts, 0 debts of revocation, 0 paused jobs, 0 runs"
