"""Where the records of a job go: kinds, secrets, and what is declared of columns."""

import typing
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from connector.errors import ConfigurationError
from connector.jobs.destinations.column_types import ColumnType
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.postgres_check import check_postgres
from connector.jobs.masking import Mask
from connector.settings.destinations import COLUMN_TYPES, resolve_destination
from connector.settings.values import DestinationSettings

from .configuration import FACEBOOK, load

JOB = """
[jobs.insights]
account = "acme/*"
run = "pulls:insights"
[jobs.insights.destination]
"""


def destination(folder: Path, text: str) -> DestinationSettings:
    return load(folder, FACEBOOK + JOB + text).jobs["insights"].destination


def test_all_that_can_be_said(tmp_path: Path) -> None:
    found = destination(
        tmp_path,
        'to = "postgresql://ads@db/ads"\ntable = "t"\nkey = ["id"]\nmode = "append"\n'
        'columns = { spend = "numeric" }\nmax_rejected = 5',
    )
    assert found == DestinationSettings(
        url="postgresql://ads@db/ads",
        table="t",
        key=("id",),
        mode="append",
        columns={"spend": "numeric"},
        max_rejected=5,
    )
    assert found.merge_key == ()


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_kinds_that_have_a_path(tmp_path: Path, kind: str) -> None:
    assert destination(tmp_path, f'to = "{kind}:ads"').url == f"{kind}:{tmp_path}/ads"
    with pytest.raises(ConfigurationError, match="names no f"):
        destination(tmp_path, f'to = "{kind}:"')


def test_a_destination_of_dlts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE", "postgresql://u:p&w@h/db")
    text = 'to = "dlt:postgres"\ndataset = "raw"\ncredentials = "env:WAREHOUSE"'
    found = destination(tmp_path, text)
    folder = quote(str(tmp_path), safe="")
    assert found.url == f"dlt:postgres?folder={folder}&dataset=raw"
    resolved = resolve_destination(found)
    assert dict(parse_qsl(urlsplit(resolved.url).query)) == {
        "folder": str(tmp_path),
        "dataset": "raw",
        "credentials": "postgresql://u:p&w@h/db",
    }
    assert "postgresql://u:p&w@h/db" in resolved.secrets
    assert "p&w" in resolved.secrets
    assert "p&w" not in repr(resolved)
    files = destination(tmp_path, 'to = "dlt:filesystem"\nfile_format = "parquet"')
    assert files.url == f"dlt:filesystem?folder={folder}&dataset=connector&file_format=parquet"
    plain = destination(tmp_path, 'to = "dlt:duckdb"')
    assert plain.url == f"dlt:duckdb?folder={folder}&dataset=connector"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('to = "dlt:"', "to", "names no destination of dlt's"),
        ('to = "dlt:a b"', "to", "names no destination of dlt's"),
        ('to = "dlt:duckdb"\ndataset = "a b"', "dataset", "'a b' is no name"),
        ('to = "dlt:duckdb"\ncredentials = "hunter2"', "credentials", "is no reference"),
        (
            'to = "dlt:filesystem"\nfile_format = "parket"',
            "file_format",
            "must be one of preferred, jsonl, parquet, csv",
        ),
        ('to = "jsonl:a"\ndataset = "raw"', "dataset", "is not a known key"),
    ],
)
def test_what_is_wrong_of_dlts(tmp_path: Path, text: str, key: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        destination(tmp_path, text)
    (problem,) = caught.value.problems
    assert problem.key == f"jobs.insights.destination.{key}"
    assert message in problem.message


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "dlt"])
def test_a_kind_whose_library_is_missing(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.settings.destinations.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError) as caught:
        destination(tmp_path, f'to = "{kind}:place"')
    (problem,) = caught.value.problems
    assert problem.message == "needs what is not installed"
    assert problem.remedy == f"pip install 'connector[{kind}]'"


def test_a_key_merges(tmp_path: Path) -> None:
    found = destination(tmp_path, 'to = "jsonl:a"\nkey = ["id"]')
    assert (found.mode, found.merge_key, found.max_rejected) == ("merge", ("id",), 1000)


def test_the_types_are_those_that_destinations_know() -> None:
    assert typing.get_args(ColumnType) == COLUMN_TYPES


@pytest.mark.parametrize(
    ("text", "key", "message", "remedy"),
    [
        ('to = "jsonl:a"\nmode = "merge"', "mode", "cannot be merge", "write"),
        ('to = "jsonl:a"\nmode = "upsert"', "mode", "must be one of merge, append", "write one"),
        ('to = "jsonl:a"\ncolumns = { a = "numerc" }', "columns", "a must be one of bool",
         "did you mean numeric?"),
        ('to = "jsonl:a"\nmax_rejected = -1', "max_rejected", "must be from 0", "write a number"),
        ('to = "jsonl:a"\ntable = "_connector_cursor"', "table", "is a name of ours", "take"),
        (f'to = "jsonl:a"\ntable = "{"x" * 55}"', "table", "is too long a name", "use 54"),
        ('to = "postgresql://ads:hunter2@db/ads"', "to", "holds a literal password", "put a ref"),
        ('to = "postgresql://db:port/ads"', "to", "is no database URL", "percent-encode"),
    ],
)  # fmt: skip
def test_problems(tmp_path: Path, text: str, key: str, message: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        destination(tmp_path, text)
    assert "hunter2" not in str(caught.value)
    (one,) = caught.value.problems
    assert one.key == f"jobs.insights.destination.{key}"
    assert message in one.message
    assert one.remedy.startswith(remedy)


class TestSecrets:
    def test_a_password(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADS_PASSWORD", "p/w@d")
        text = (
            FACEBOOK + JOB + 'to = "postgresql://ads:env:ADS_PASSWORD@db:5433/ads?sslmode=require"'
        )
        settings = load(tmp_path, text)
        found = settings.jobs["insights"].destination
        assert found.url == "postgresql://ads@db:5433/ads?sslmode=require"
        assert "ADS_PASSWORD" in settings.hidden_variables
        resolved = resolve_destination(found)
        assert resolved.url == "postgresql://ads:p%2Fw%40d@db:5433/ads?sslmode=require"
        assert resolved.secrets == {"p/w@d", "p%2Fw%40d"}
        assert "p/w" not in repr((found, resolved))

    def test_the_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ADS", "postgres://ads:p%2Fw@db/ads")
        settings = load(tmp_path, FACEBOOK + JOB + 'to = "env:ADS"')
        assert "ADS" in settings.hidden_variables
        resolved = resolve_destination(settings.jobs["insights"].destination)
        assert resolved.url == "postgresql://ads:p%2Fw@db/ads"
        assert resolved.secrets == {"postgres://ads:p%2Fw@db/ads", "p%2Fw", "p/w"}

    @pytest.mark.parametrize(
        "held",
        [
            "postgresql://u:canary#canary@127.0.0.1:1/ads",
            "postgresql://u:canary?canary@127.0.0.1:1/ads",
            "postgresql://u:canary%zz@127.0.0.1:1/ads",
            "postgresql://u@127.0.0.1:1/ads?password=canary%zz&sslmode=disable",
        ],
    )
    def test_a_password_that_is_not_encoded_is_shown_by_nobody(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
    ) -> None:
        """Python and libpq read such a URL differently."""
        monkeypatch.setenv("ADS", held)
        resolved = resolve_destination(destination(tmp_path, 'to = "env:ADS"'))
        mask = Mask()
        for secret in resolved.secrets:
            mask.hide(secret, "[secret]")
        with pytest.raises(DestinationFailed) as caught:
            check_postgres(resolved.url, table="t", key=("id",))
        shown = mask.text(str(caught.value))
        assert shown.startswith("postgresql://127.0.0.1:1/ads: ")
        assert "canary" not in shown

    def test_a_file_whose_path_is_relative(self, tmp_path: Path) -> None:
        (tmp_path / "place").write_text("sqlite:///ads.db\n")
        found = destination(tmp_path, 'to = "file:place"')
        assert resolve_destination(found).url == f"sqlite:///{tmp_path}/ads.db"

    @pytest.mark.parametrize(
        ("held", "says"),
        [
            (None, "ADS is not set"),
            ("ftp://x", "what it holds is no destination"),
            ("jsonl:", "what it holds names no file"),
            ("sqlite:///vault.db", "what it holds is the vault"),
            ("jsonl:vault.db-wal", "what it holds is the vault"),
            ("postgresql://[x/", "what it holds is no URL"),
            ("postgresql://u:p/canary@db/ads?x=y", "has '@' or '/' in its user or password"),
            ("postgresql://u:p@canary@db/ads", "has '@' or '/' in its user or password"),
        ],
    )
    def test_what_leads_nowhere(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str | None, says: str
    ) -> None:
        if held is None:
            monkeypatch.delenv("ADS", raising=False)
        else:
            monkeypatch.setenv("ADS", held)
        found = destination(tmp_path, 'to = "env:ADS"')
        with pytest.raises(ConfigurationError, match=says) as caught:
            resolve_destination(found)
        assert caught.value.problems[0].key == "jobs.insights.destination.to"
        assert "canary" not in str(caught.value)
