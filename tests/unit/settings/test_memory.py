"""Limits of the memory of runs."""

from pathlib import Path

import pytest

from connector.settings import memory
from connector.settings.memory import format_memory, parse_memory

from .configuration import load, problem

MIB = 1024 * 1024
JOB = """
[jobs.insights]
account = "acme/*"
run = "my_package.pulls:insights"
destination = { to = "sqlite:///ads.db" }
"""


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a kernel that tells what processes take, wherever this runs."""
    monkeypatch.setattr(memory, "_TOLD_BY", Path(__file__))


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("512 MiB", 512 * MIB),
        ("1.5GiB", 1536 * MIB),
        ("500 MB", 500_000_000),
        (" 2 GB ", 2_000_000_000),
        ("0", 0),
    ],
)
def test_an_amount(text: str, amount: int) -> None:
    assert parse_memory(text) == amount


@pytest.mark.parametrize("text", ["512", "512M", "512 mib", "-1 GiB", "1e3 MiB", "", "MiB"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory such as 512 MiB or 2 GiB"):
        parse_memory(text)


def test_it_is_said_in_mebibytes() -> None:
    assert format_memory(1536 * MIB) == "1,536 MiB"


@pytest.mark.parametrize(
    ("of_all", "of_job", "limit"),
    [
        ("", "", None),
        ("", 'memory = "512 MiB"', 512),
        ('run_memory = "1 GiB"', "", 1024),
        ('run_memory = "1 GiB"', 'memory = "512 MiB"', 512),
        ('run_memory = "1 GiB"', 'memory = "0"', None),
        ('run_memory = "0"', "", None),
    ],
)
def test_a_job_has_its_own_or_the_one_of_all(
    tmp_path: Path, of_all: str, of_job: str, limit: int | None
) -> None:
    job = load(tmp_path, f"[daemon]\n{of_all}\n{JOB}\n{of_job}\n").jobs["insights"]
    assert job.memory == (None if limit is None else limit * MIB)


def test_one_in_which_nothing_runs_is_refused(tmp_path: Path) -> None:
    found = problem(tmp_path, f'{JOB}\nmemory = "1 MiB"\n')
    assert found.key == "jobs.insights.memory"
    assert found.message == "must be 16 MiB at least"
    assert 'memory = "512 MiB"' in found.remedy


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (f'{JOB}\nmemory = "512 MiB"\n', "jobs.insights.memory"),
        (f'[daemon]\nrun_memory = "512 MiB"\n{JOB}', "daemon.run_memory"),
    ],
)
def test_one_that_nobody_would_hold_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, key: str
) -> None:
    monkeypatch.setattr(memory, "_TOLD_BY", tmp_path / "none")
    found = problem(tmp_path, text)
    assert found.key == key
    assert "cannot be held here" in found.message
    assert found.remedy == "leave it out on this platform"
    assert load(tmp_path, f'{JOB}\nmemory = "0"\n').jobs["insights"].memory is None
