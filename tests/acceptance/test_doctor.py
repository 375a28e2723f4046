"""``connector doctor`` on Postgres: what the server says of its own durability is told."""

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from connector.simulator import Settings
from tests.acceptance.real_time import real_time_workbench

pytestmark = pytest.mark.traced

DURABLE = ("synchronous_commit", "fsync", "full_page_writes")


def test_what_postgres_says_of_itself_is_read_back(tmp_path: Path, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        said = {one: connection.execute(f"SHOW {one}").fetchone() for one in DURABLE[1:]}
    with real_time_workbench(tmp_path, Settings(), postgres_url=postgres_url) as bench:
        done = subprocess.run(
            [sys.executable, "-m", "connector", "doctor", "--json", "--config", str(bench.config)],
            capture_output=True,
            text=True,
            check=False,
        )
    (finding,) = (one for one in json.loads(done.stdout) if one["subject"] == "database")
    off = [one for one, row in said.items() if row != ("on",)]
    assert finding["verdict"] == ("warning" if off else "ok")
    assert all(f"{one} is off" in finding["message"] for one in off)
    assert "synchronous_commit is" not in finding["message"], "it is set for each connection"
