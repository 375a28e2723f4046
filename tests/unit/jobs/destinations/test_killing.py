"""Records and cursor agree after any death of the writer, and nothing is there twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("url", "lines"),
    [
        ("sqlite:///{}/ads.db", 40),
        ("jsonl:{}/ads", 60),
        ("postgres", 40),
        ("duckdb:{}/ads.duckdb", 20),
        ("parquet:{}/ads", 40),
    ],
)
def test_killed_at_any_moment(
    tmp_path: Path, url: str, lines: int, request: pytest.FixtureRequest
) -> None:
    if url == "postgres":
        url = request.getfixturevalue("postgres_url")
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.jobs.destinations.killing", url.format(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["deaths"] >= lines
    assert told["batches"] > 2, "it was always killed before it had written"
