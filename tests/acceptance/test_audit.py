"""The audit trail through the real commands and the daemon: who did what, and no secret."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import httpx2
import pytest

from connector.simulator import Person

from .installation import Installation

JOB = """
        [jobs.pull]
        provider = "ads"
        account = "acme/*"
        run = "pulls:pull"
        destination = { to = "sqlite:///ads.db", table = "t", key = ["id"] }
"""
PULLS = """
async def pull(api, context):
    answer = (await api.get("me")).raise_for_status()
    yield [{"id": 1, "name": answer.json()["name"]}]
"""
ME = f"uid:{os.getuid()}"


@pytest.fixture
def unix(installation: Installation) -> Iterator[httpx2.Client]:
    transport = httpx2.HTTPTransport(uds=str(installation.folder / "connector.sock"))
    with httpx2.Client(transport=transport, base_url="http://connector") as client:
        yield client


def trail(installation: Installation, *arguments: str) -> list[dict[str, Any]]:
    done = installation.run("audit", "--json", "--limit", "500", *arguments)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    return rows


def told(rows: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    """Give event, actor and what it was done with."""
    return [(row["event"], row["actor"], row["through"]) for row in rows]


def test_who_did_what_and_when(installation: Installation, unix: httpx2.Client) -> None:
    installation.configure(JOB)
    (installation.folder / "pulls.py").write_text(PULLS)
    began = time.time()
    installation.connect("ads", "acme/ads")
    shown = [installation.run("token", "acme/ads").stdout.strip()]
    assert installation.run("jobs", "run", "pull").returncode == 0
    daemon = installation.serve()
    address = f"http://127.0.0.1:{installation.port}"
    follow_link(unix, address, "acme/two")
    path = "/v1/accounts/acme/two/token"
    shown += [unix.get(path).json()["access_token"] for _ in range(3)]
    shown.append(installation.run("token", "acme/two").stdout.strip())  # the daemon gives it
    for _ in range(20):
        assert httpx2.get(f"{address}/v1/accounts", trust_env=False).status_code == 401
    assert unix.post("/v1/accounts/acme/two/revoke").status_code == 200
    installation.stop(daemon)
    assert installation.run("accounts", "rename", "acme/two", "acme/gone").returncode == 0
    assert installation.run("forget", "acme/gone").returncode == 0

    rows = trail(installation)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))
    assert all(began - 1 <= moment(row) <= time.time() for row in rows)
    one = [row for row in rows if row["account"] == "acme/ads"]
    assert told(one) == [
        ("consent.started", ME, "connector connect"),
        ("consent.given", ME, "connector connect"),
        ("token.released", ME, "connector token"),
        ("token.released", "job:pull", one[-1]["through"]),
    ]
    assert one[-1]["through"].startswith("run ")
    two = [row for row in rows if row["account"] in {"acme/two", "acme/gone"}]
    released = [row for row in two if row["event"] == "token.released"]
    assert {(row["actor"], row["through"]): row["count"] for row in released} == {
        (ME, "api"): 3,
        (ME, "connector token"): 1,
    }
    assert [entry for entry in told(two) if entry[0] != "token.released"] == [
        ("consent.linked", ME, "api"),
        ("consent.started", "peer:127.0.0.1", "tcp"),
        ("consent.given", "peer:127.0.0.1", "tcp"),
        ("account.revoked", ME, "api"),
        ("revocation.confirmed", ME, "api"),
        ("account.renamed", ME, "connector accounts rename"),
        ("account.revoked", ME, "connector forget"),
        ("account.forgotten", ME, "connector forget"),
    ]
    refused = [row for row in rows if row["event"] == "access.refused"]
    assert [(row["actor"], row["outcome"], row["count"]) for row in refused] == [
        ("peer:127.0.0.1", "no_key", 20)
    ]
    verified = installation.run("audit", "--verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith(f"rows that fit: {len(rows)}, from ")
    assert_no_secret(installation, shown)


def follow_link(unix: httpx2.Client, address: str, account: str) -> None:
    """Take a person through a connect link of the daemon."""
    made = unix.post("/v1/consents", json={"provider": "ads", "account": account})
    with httpx2.Client(base_url=address, trust_env=False) as browser, Person("ada") as ada:
        led = browser.post(made.json()["connect_url"])
        answer = ada.consent(led.headers["location"])
        assert "is connected" in browser.get(answer, follow_redirects=True).text


def moment(row: dict[str, Any]) -> float:
    return datetime.fromisoformat(row["at"]).timestamp()


def assert_no_secret(installation: Installation, shown: list[str]) -> None:
    """Nothing that was given out, or is known of the client, stands in the table."""
    assert all(shown)
    with closing(sqlite3.connect(installation.folder / "vault.db")) as database:
        table = str(database.execute("SELECT * FROM audit").fetchall())
    for secret in {*shown, installation.simulator.client.client_secret}:
        assert secret not in table
    assert "token.released" in table


def test_what_somebody_changes_in_the_database_is_named(installation: Installation) -> None:
    installation.configure()
    installation.connect("ads", "acme/ads")
    installation.run("token", "acme/ads")
    database = installation.folder / "vault.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("UPDATE audit SET actor = 'uid:4711' WHERE event = 'token.released'")
        connection.commit()
    found = installation.run("audit", "--verify")
    assert found.returncode == 5
    assert "row 4 was altered, or is in the place of another one" in found.stderr
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("DELETE FROM audit WHERE event = 'token.released'")
        connection.commit()
    installation.run("token", "acme/ads")
    found = installation.run("audit", "--verify")
    assert found.returncode == 5
    assert "the end of the trail was cut off, and others were appended" in found.stderr


def test_old_rows_are_removed_by_the_daemon(installation: Installation) -> None:
    installation.configure()
    installation.connect("ads", "acme/ads")
    before = len(trail(installation))
    installation.environment["CONNECTOR_VAULT_AUDIT_KEEP"] = "1ms"
    daemon = installation.serve()
    installation.stop(daemon)
    rows = trail(installation)
    assert [row["event"] for row in rows] == ["consent.given", "audit.pruned"]
    assert rows[-1]["count"] == before - 1
    found = installation.run("audit", "--verify")
    assert found.returncode == 0, found.stderr
    assert f"{before - 1} older ones were removed" in found.stdout
