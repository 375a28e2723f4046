"""The examples, by the commands that their READMEs print.

What was written is compared with what the simulator says that a complete pull has to bring.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.settings import load_settings

from .forked import Nursery
from .printed import EXAMPLES, SIMULATOR_PORT, Example, example

#: Those of declared pulls and of programs.
EVERY = ("github", "hubspot", "google_analytics", "dlt_pipeline", "script")


def ago(*, days: int = 0, minutes: int = 0) -> float:
    """Give a moment before now, in seconds since 1970."""
    return (datetime.now(UTC) - timedelta(days=days, minutes=minutes)).timestamp()


def json_lines(file: Path) -> list[dict[str, Any]]:
    """Read a file of JSON lines, without the account."""
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert {record.pop("_account") for record in records} <= {"acme/github"}
    return records


def test_github(tmp_path: Path, nursery: Nursery) -> None:
    with example("github", tmp_path, nursery) as github:
        github.type_all()
        assert json_lines(github.folder / "issues.jsonl") == github.expected("github")

        # issues change and are added; the token has ended; and three pages are more than the two
        # calls that may be made at once: what the headers tell is waited for, and nothing refused
        simulator = github.simulator
        pages = simulator.ledger.count("github_issues", outcome="ok")
        simulator.apis.touch("github", 7)
        simulator.apis.append("github", 3)
        simulator.state.expire_access_tokens("ada")
        simulator.change({"apis_rate_limit": 2, "apis_rate_window": 2})
        github.type("connector jobs run issues --since 2026-01-01")
        assert simulator.ledger.count("github_issues", outcome="ok") == pages + 3
        assert simulator.ledger.count("github_issues", outcome="rate_limited") == 0
        assert simulator.ledger.count("token", grant_type="refresh_token") == 1
        written = json_lines(github.folder / "issues.jsonl")
        assert {record["id"]: record for record in written} == {
            record["id"]: record for record in github.expected("github")
        }
        assert len(written) == 250 + 1 + 3, "what has not changed is not written again"


def test_hubspot(tmp_path: Path, nursery: Nursery) -> None:
    with example("hubspot", tmp_path, nursery) as hubspot:
        hubspot.simulator.change({"apis_epoch": ago(minutes=255), "apis_step": 60})
        hubspot.type_all()
        assert contacts(hubspot) == hubspot.expected("hubspot")
        ledger = hubspot.simulator.ledger
        asked = ledger.count("hubspot_contacts")
        assert asked > ledger.count("hubspot_contacts", outcome="ok"), "a window was split"

        # contacts change and are added, minutes ago, and the token has ended
        hubspot.simulator.apis.touch("hubspot", 7)
        hubspot.simulator.apis.append("hubspot", 3)
        hubspot.simulator.state.expire_access_tokens("ada")
        hubspot.type("connector jobs run contacts")
        assert contacts(hubspot) == hubspot.expected("hubspot")


def contacts(hubspot: Example) -> list[dict[str, Any]]:
    """Read the table as the API gives contacts."""
    columns = "id, properties, createdAt, updatedAt, archived"
    rows = hubspot.installation.rows(
        f"SELECT {columns} FROM contacts ORDER BY updatedAt, CAST(id AS INTEGER)",  # noqa: S608
        database="crm.db",
    )
    return [
        {
            "id": number,
            "properties": json.loads(properties),
            "createdAt": created,
            "updatedAt": updated,
            "archived": bool(archived),
        }
        for number, properties, created, updated, archived in rows
    ]


def test_google_analytics(tmp_path: Path, nursery: Nursery) -> None:
    with example("google_analytics", tmp_path, nursery) as google:
        google.simulator.change({"apis_epoch": ago(days=20)})
        google.type_all()
        assert sessions(google) == expected_sessions(google) != []

        # figures of yesterday change, and of a day that is further back than a run looks
        google.simulator.apis.touch("analytics", 20)
        google.type("connector jobs run sessions")
        assert sessions(google) == expected_sessions(google)
        google.simulator.apis.touch("analytics", 7)
        google.type("connector jobs run sessions")
        assert sessions(google) != expected_sessions(google)
        google.type("connector jobs run sessions --since 2026-01-05")
        assert sessions(google) == expected_sessions(google)


def sessions(google: Example) -> list[tuple[Any, ...]]:
    """Read the table."""
    figures = "activeUsers, sessions, totalRevenue"
    return google.installation.rows(
        f"SELECT date, country, deviceCategory, {figures} FROM sessions ORDER BY 1, 2, 3",  # noqa: S608
        database="analytics.db",
    )


def expected_sessions(google: Example) -> list[tuple[Any, ...]]:
    """Give the rows that the table has to have."""
    return [
        (
            *(value["value"] for value in row["dimensionValues"]),
            *(number(value["value"]) for value in row["metricValues"]),
        )
        for row in google.expected("analytics")
    ]


def number(text: str) -> float:
    """Read a number as SQLite does."""
    return float(text) if "." in text else int(text)


def test_dlt_pipeline(tmp_path: Path, nursery: Nursery) -> None:
    with example("dlt_pipeline", tmp_path, nursery) as pipeline:
        pipeline.type_all()
        assert issues(pipeline) == expected_issues(pipeline)
        ledger = pipeline.simulator.ledger
        assert ledger.count("github_issues", fault="expire_token") == 1
        assert ledger.count("token", grant_type="refresh_token") == 1
        secret = pipeline.simulator.client.client_secret.encode()
        for file in (pipeline.folder / ".dlt").rglob("*"):
            assert not file.is_file() or secret not in file.read_bytes()

        # by cron: in its own words, and with next to nothing in its environment
        pipeline.simulator.apis.touch("github", 7)
        pipeline.simulator.apis.append("github", 3)
        readme = (pipeline.folder / "README.md").read_text()
        (line,) = re.findall(r"```cron\n(.*)\n```", readme)
        command = line.split(maxsplit=5)[5]
        for written, here in (
            ("/home/you/dlt_pipeline", pipeline.folder),
            ("/home/you/venv/bin/python", sys.executable),
        ):
            command = command.replace(written, str(here))
        pipeline.shell(command, {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
        assert issues(pipeline) == expected_issues(pipeline)


def issues(pipeline: Example) -> list[tuple[Any, ...]]:
    """Read the table that dlt has made, and that of the labels below it."""
    import duckdb

    with duckdb.connect(str(pipeline.folder / "issues.duckdb"), read_only=True) as database:
        return database.execute(
            """SELECT id, title, body, state, comments, user__login, epoch(updated_at),
                 (SELECT count(*) FROM github.issues__labels WHERE _dlt_parent_id = issues._dlt_id)
               FROM github.issues ORDER BY id"""
        ).fetchall()


def expected_issues(pipeline: Example) -> list[tuple[Any, ...]]:
    """Give the rows that they have to have."""
    return sorted(
        (
            *(record[name] for name in ("id", "title", "body", "state", "comments")),
            record["user"]["login"],
            datetime.fromisoformat(record["updated_at"]).timestamp(),
            len(record["labels"]),
        )
        for record in pipeline.expected("github")
    )


def test_script(tmp_path: Path, nursery: Nursery) -> None:
    with example("script", tmp_path, nursery) as script:
        *_, printed, token, called = script.type_all()
        every = script.expected("github")
        is_open = [issue for issue in every if issue["state"] == "open"]
        assert printed.splitlines() == [
            f"newest: {is_open[-1]['number']}",
            f"closed: {len(every) - len(is_open)}",
            f"oldest: {is_open[0]['number']}",
        ]
        assert len(token.split()) == 1
        assert json.loads(called) == [is_open[-1]]
        assert script.simulator.ledger.count("github_issues", outcome="ok") == 4


@pytest.mark.parametrize("name", EVERY)
def test_what_is_marked_is_all_that_stands_between_an_example_and_the_real_service(
    name: str, tmp_path: Path
) -> None:
    config = (EXAMPLES / name / "config.toml").read_text()
    readme = (EXAMPLES / name / "README.md").read_text()
    marks = set(re.findall(r"# (\([1-9]\))", config))
    assert marks <= set(re.findall(r"\([1-9]\)", readme))
    real = re.sub(r"(?m)^# \([1-9]\) remove these lines(.*\n)+?(\n|\Z)", "\n", config)
    real = re.sub(r'"[^"]*"( *# \([1-9]\) )("http[^"]*")', r"\2\1", real)
    assert SIMULATOR_PORT not in real
    (tmp_path / "config.toml").write_text(real)
    ((_, provider),) = load_settings(tmp_path / "config.toml").providers.items()
    assert provider.server.token_endpoint is not None
    assert provider.server.token_endpoint.startswith("https://")
    assert provider.api.base_url is not None
    assert provider.api.base_url.startswith("https://")


def test_the_index_has_every_example() -> None:
    index = (EXAMPLES / "README.md").read_text()
    folders = {file.parent.name for file in EXAMPLES.glob("*/README.md")}
    assert set(re.findall(r"\]\(([a-z_]+)/README\.md\)", index)) == folders
