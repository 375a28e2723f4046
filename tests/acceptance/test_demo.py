"""The demonstration and the example do what they say, from a folder of their own."""

import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from connector.settings import load_settings
from connector.simulator import Simulator

from .facebook_example import FacebookExample
from .forked import Nursery

pytestmark = pytest.mark.traced

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)  # half a minute, on a machine that is not busy
def test_demo(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "BROWSER"}}
    done = subprocess.run(
        [sys.executable, "-m", "connector", "demo", "--keep", "kept"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for expected in (
        "the demo plays the person",
        "demo/facebook is connected (facebook) as Ada Lovelace with ads_read",
        "demo/ads: access token minted",
        "demo/ads: run 3 of ads_insights took",
        " rows in ads.db, just those that the provider has",
        "demo/facebook needs consent",
        "What to type next",
    ):
        assert expected in done.stdout
    counts = re.findall(r"demo/(facebook|ads): (\d+) rows in ads.db", done.stdout)
    kept = sqlite3.connect(tmp_path / "kept" / "ads.db")
    with closing(kept):
        for table, count in counts:
            rows = kept.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608 - matched
            assert rows == (int(count),)
            assert int(count) > 80  # a week of two accounts; which ads are idle depends on the days
    assert len(counts) == 2
    assert "\x1b" not in done.stdout, "piped into a file it is plain lines"
    assert (tmp_path / "kept" / "config.toml").exists()

    again = subprocess.run(
        [sys.executable, "-m", "connector", "demo", "--keep", "kept"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)


def test_facebook_example(tmp_path: Path, simulator: Simulator, nursery: Nursery) -> None:
    """The page's commands run as they are printed; only the ports are others here."""
    page = (ROOT / "examples" / "facebook_ads" / "README.md").read_text()
    _, commands, *_ = re.findall(r"```shell\n(.*?)```", page, re.DOTALL)
    lines = [line.partition(" #")[0].split() for line in commands.splitlines()]
    with FacebookExample(tmp_path / "example", simulator, nursery) as example:
        name, _, value = lines.pop(0)[1].partition("=")
        example.environment[name] = value
        assert lines.pop() == ["connector", "serve"]
        for line in lines:
            if line[:2] == ["connector", "connect"]:
                assert line[2:4] == ["facebook", "--account"]
                example.connect("facebook", line[4])
            elif line[0] == "connector":
                done = example.run(*line[1:])
                assert done.returncode == 0, done.stdout + done.stderr
            else:
                assert line[:2] == ["sqlite3", "ads.db"]
                days = example.rows(" ".join(line[2:]).strip("'"))
                assert len(days) == 7
                assert all(impressions and spend for _, impressions, spend in days)
        jobs = [line[3] for line in lines if line[1:3] == ["jobs", "run"]]
        assert jobs == list(load_settings(example.folder / "config.toml").jobs)
        counts = [example.rows(f"SELECT count(*) FROM {job}")[0][0] for job in jobs]  # noqa: S608
        assert counts[:-1] == [2, 4, 8, 16]
        assert counts[-1] > 1000
        status, _, log = example.stop(example.serve())
        assert status == 0, log


def test_two_lines_make_the_example_the_real_thing() -> None:
    text = (ROOT / "examples" / "facebook_ads" / "config.toml").read_text()
    lines = text.splitlines()
    assert [line for line in lines if "(1)" in line and line.startswith("client_id")]
    marked = next(i for i, line in enumerate(lines) if line.startswith("# (2)"))
    assert lines[marked + 1].startswith("variables = ")
    assert "127.0.0.1" not in text.replace(lines[marked + 1], "")
