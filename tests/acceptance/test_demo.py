"""The demonstration and the example do what they say, from a folder of their own."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from connector.simulator import Person, Simulator

from .installation import Installation, free_port

ROOT = Path(__file__).parents[2]


def test_demo(tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if k not in {"DISPLAY", "BROWSER"}}
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "connector", "demo", "--keep", "kept"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    took = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert took < 60
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


def test_facebook_example(tmp_path: Path, simulator: Simulator) -> None:
    """The folder runs as it stands; only the simulator's port is another one here."""
    shutil.copytree(ROOT / "examples" / "facebook_ads", tmp_path / "example")
    with Installation(tmp_path / "example", simulator) as example:
        config = tmp_path / "example" / "config.toml"
        text = config.read_text().replace("http://127.0.0.1:8480", simulator.url)
        config.write_text(text.replace("8470", str(free_port())))
        example.environment["FACEBOOK_SECRET"] = simulator.app.app_secret
        assert example.run("init").returncode == 0
        process, url = example.begin_connect("facebook", "acme/facebook")
        with Person("ada") as ada:
            ada.deliver(ada.consent(url))
        assert example.finish(process)[0] == 0
        done = example.run("jobs", "run", "insights")
        assert done.returncode == 0, done.stdout
        (newest, oldest, rows), *_ = example.rows(
            "SELECT max(date_start), min(date_start), count(*) FROM insights"
        )
        expected = [
            row
            for ad_account in ("act_1001", "act_1002")
            for row in simulator.ads.expected_rows(ad_account, oldest, newest, form="graph")
        ]
        assert rows == len(expected) > 500
        found = example.rows("SELECT date_start, ad_id, spend FROM insights ORDER BY 1, 2")
        assert found == sorted((r["date_start"], r["ad_id"], r["spend"]) for r in expected)

        again = example.run("jobs", "run", "insights")
        assert again.returncode == 0
        assert example.rows("SELECT count(*) FROM insights") == [(rows,)]


def test_two_lines_make_the_example_the_real_thing() -> None:
    text = (ROOT / "examples" / "facebook_ads" / "config.toml").read_text()
    lines = text.splitlines()
    assert [line for line in lines if "(1)" in line and line.startswith("client_id")]
    marked = next(i for i, line in enumerate(lines) if line.startswith("# (2)"))
    assert lines[marked + 1].startswith("variables = ")
    assert "127.0.0.1" not in text.replace(lines[marked + 1], "")
