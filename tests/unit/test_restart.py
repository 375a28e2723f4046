"""Which keys take effect in a running daemon, and which need a restart."""

import dataclasses
import re
from pathlib import Path

import pytest

from connector.secret import Secret, SecretReference
from connector.settings import Settings, load_settings
from connector.settings.restart import TAKES_EFFECT, needs_restart

ROOT = Path(__file__).parents[2]
CONFIG = """
[vault]
url = "sqlite:///vault.db"
seal = "file:root.key"
"""


@pytest.fixture
def before(tmp_path: Path) -> Settings:
    (tmp_path / "config.toml").write_text(CONFIG)
    return load_settings(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("table", "change", "keys"),
    [
        ("vault", {"url": "sqlite:////other.db"}, ["vault.url"]),
        ("vault", {"seal_kind": "env", "seal_name": "KEY"}, ["vault.seal"]),
        ("vault", {"seal_name": "other.key"}, ["vault.seal"]),
        ("vault", {"seal_max_age": 60.0}, ["vault.seal_max_age"]),
        ("vault", {"journal": Path("/other")}, ["vault.journal"]),
        ("vault", {"allow_volatile_journal": True}, ["vault.allow_volatile_journal"]),
        ("vault", {"audit_keep": 1.0, "audit_interval": 1.0}, []),
        ("daemon", {"host": "::1", "port": 1}, ["daemon.host", "daemon.port"]),
        ("daemon", {"socket": None}, ["daemon.socket"]),
        ("daemon", {"public_url": "https://a.example"}, []),
        ("telemetry", {"otlp_endpoint": "https://t.example"}, ["telemetry.otlp_endpoint"]),
        ("telemetry", {"service_name": "x"}, ["telemetry.service_name"]),
    ],
)
def test_each_key(before: Settings, table: str, change: dict[str, object], keys: list[str]) -> None:
    changed = dataclasses.replace(getattr(before, table), **change)
    problems = needs_restart(before, dataclasses.replace(before, **{table: changed}))
    assert [problem.key for problem in problems] == keys
    assert all("restart it" in problem.remedy for problem in problems)


def test_another_password_is_told_without_it(before: Settings) -> None:
    literal = SecretReference(
        kind="literal", name="", source="c", key="url", folder=Path(), literal=Secret("hunter2")
    )
    vault = dataclasses.replace(before.vault, password=literal)
    (problem,) = needs_restart(before, dataclasses.replace(before, vault=vault))
    assert problem.key == "vault.url"
    assert "hunter2" not in str(problem)
    assert needs_restart(before, before) == []


def test_the_page_says_it_of_every_key(before: Settings) -> None:
    """A key of these three tables is on one of two lists."""
    page = (ROOT / "docs" / "operations.md").read_text()
    table = page.partition("## Reload")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (takes effect|needs a restart) \| (.*?) \|", table, re.MULTILINE))
    named = {
        kind: set(re.findall(r"`((?:vault|daemon|telemetry)\.\w+)`", row))
        for kind, row in rows.items()
    }
    keys = {"seal_kind": "seal", "seal_name": "seal", "password": "url"}
    of_vault = {keys.get(one.name, one.name) for one in dataclasses.fields(before.vault)}
    of_daemon = {one.name for one in dataclasses.fields(before.daemon)}
    of_telemetry = {one.name for one in dataclasses.fields(before.telemetry)}
    known = {f"vault.{key}" for key in of_vault} | {f"daemon.{key}" for key in of_daemon}
    known |= {f"telemetry.{key}" for key in of_telemetry}
    assert named == {"takes effect": set(TAKES_EFFECT), "needs a restart": known - TAKES_EFFECT}
