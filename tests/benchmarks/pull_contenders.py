"""Who pulls, and where to: a contender more is an entry more.

Ours are jobs of a configuration, run by ``connector jobs run`` as a person does; peers are programs
of ``pull_peers``, each started by the interpreter that has its libraries.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from tests.benchmarks.pull_columns import to_duckdb, to_parquet
from tests.benchmarks.pull_outputs import (
    DuckDb,
    JsonLines,
    Messages,
    Output,
    Parquet,
    Postgres,
    Sqlite,
)
from tests.benchmarks.pull_stage import HERE, Stage, Took

#: An environment of their own: their libraries and ours do not resolve together.
PEERS: Final = HERE.parent.parent / ".venv" / "peers" / "bin" / "python"
ACCOUNT: Final = "acme/a0"
#: Nobody is told of a measurement; files are written as plain as the others write them.
_QUIET: Final = {
    "EXTRACT__WORKERS": "10",  # where there are ten resources; each waits for its pages
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "true",
    "SINGER_SDK_LOG_LEVEL": "WARNING",
}
#: The tables, by the kind of destination.
KINDS: Final = {
    "jsonl": "To JSON Lines",
    "sqlite": "To SQLite",
    "postgres": "To Postgres",
    "duckdb": "To DuckDB",
    "parquet": "To Parquet",
}


@dataclass(slots=True, kw_only=True)
class Contender:
    """Who pulls.

    Attributes:
        name: of its row.
        command: with its arguments.
        output: where its records are.
        environment: besides the installation's own.
        copies: of each record that are asked for and written.
        rounds: what each took.
        cost: processor time of a record, without what a pull of one page takes (µs).
    """

    name: str
    command: Sequence[str]
    output: Output
    environment: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1
    rounds: list[Took] = field(default_factory=list)
    cost: float = 0.0

    def pull(self, stage: Stage, records: int) -> None:
        """Pull once; all that is asked for has to be written.

        Args:
            stage: where it is measured.
            records: that there are.
        """
        self.output.clear()
        took = stage.take_time(self.command, environment=self.environment, records=records)
        found, wanted = self.output.count(), (records, records // self.copies)
        assert found == wanted, f"{self.name}: {found} of {wanted} are there"
        self.rounds.append(took)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What is demanded.

    Attributes:
        ours, peer: names of rows.
        least: how many times as many records a second as the peer's.
    """

    ours: str
    peer: str
    least: float


#: By kind. A declared pull is judged.
BOUNDS: Final = {
    "jsonl": (
        Bound(ours="Connector, declared", peer="bare loop, orjson", least=0.5),
        Bound(ours="Connector, declared", peer="dlt", least=4),
    ),
    "sqlite": (
        Bound(ours="Connector, declared", peer="dlt", least=4),
        Bound(ours="Connector, declared, merge", peer="dlt, merge", least=4),
    ),
    "postgres": (Bound(ours="Connector, declared, merge", peer="dlt, merge", least=2),),
    "duckdb": (),
    "parquet": (),
}


class Entries:
    """Makes contenders.

    Args:
        stage: where they are measured.
        kind: of the destination.
    """

    def __init__(self, stage: Stage, kind: str) -> None:
        self.stage = stage
        self.kind = kind
        self.jobs: dict[str, str] = {}

    def ours(
        self,
        name: str,
        what: str,
        to: str,
        *,
        is_keyed: bool = False,
        output: Output | None = None,
    ) -> Contender:
        """Give a job.

        Args:
            name: of its row.
            what: that it runs, as lines of its table.
            to: its destination, in a folder that is ``{folder}``.
            is_keyed: whether its records have a key.
            output: where they are; None: in that folder.
        """
        job = f"{self.kind}-{len(self.jobs)}"
        folder = self.stage.folder / job
        key = ', key = ["id"]' if is_keyed else ""
        url = to.format(folder=folder)
        self.jobs[job] = f"""
            account = "{ACCOUNT}"
            {what}
            destination = {{ to = "{url}", table = "records"{key} }}"""
        outputs: dict[str, Output] = {
            "jsonl": JsonLines(folder, "*.jsonl"),
            "sqlite": Sqlite(folder, "pulled.db"),
            "duckdb": DuckDb(folder, "pulled.duckdb", "records"),
            "parquet": Parquet(folder, "pulled/*.parquet"),
        }
        return Contender(
            name=name,
            command=[sys.executable, "-m", "connector", "jobs", "run", job],
            output=output or outputs[self.kind],
        )

    def callable(self, function: str) -> str:
        """Give the lines of a job that runs one of ``pull_jobs``."""
        path = self.stage.url().removeprefix(f"{self.stage.api.origin}/")
        return f'run = "pull_jobs:{function}"\noptions = {{ path = "{path}" }}'

    def peer(
        self, name: str, output: Output, program: str, *arguments: str, python: Path = PEERS
    ) -> Contender:
        """Give a program of ``pull_peers``."""
        script = HERE / "pull_peers" / program
        return Contender(
            name=name,
            command=[str(python), "-P", str(script), *arguments],
            output=output,
            environment={"PULL_TOKEN": self.stage.tokens[ACCOUNT], **_QUIET},
        )

    def dlt(self, name: str, output: Output, folder: Path, to: str, mode: str) -> Contender:
        """Give dlt with one of its destinations."""
        url = self.stage.url()
        return self.peer(name, output, "dlt_pull.py", to, mode, str(folder), url)


def make(entries: Entries, postgres: URL | None) -> list[Contender]:
    """Make those that write to one kind of destination; rates are compared with the first's.

    Args:
        entries: that make them.
        postgres: a database, where the kind needs one.
    """
    if postgres is not None:
        return _to_postgres(entries, postgres)
    makers = {
        "jsonl": _to_json_lines,
        "sqlite": _to_sqlite,
        "duckdb": to_duckdb,
        "parquet": to_parquet,
    }
    return makers[entries.kind](entries)


def _to_json_lines(entries: Entries) -> list[Contender]:
    here, url = entries.stage.folder, entries.stage.url()
    python = Path(sys.executable)
    bare = [
        entries.peer(
            f"bare loop, {flavour}",
            JsonLines(here / f"bare-{flavour}", "*.jsonl"),
            *("bare.py", flavour, str(here / f"bare-{flavour}" / "pulled.jsonl"), url),
            python=python,
        )
        for flavour in ("orjson", "json", "async")
    ]
    to = "jsonl:{folder}/pulled.jsonl"
    ours = [
        entries.ours("Connector, declared", entries.stage.declared(), to),
        entries.ours(
            "Connector, declared, with a key", entries.stage.declared(), to, is_keyed=True
        ),
        entries.ours("Connector, async, orjson", entries.callable("orjson_pages"), to),
        entries.ours("Connector, async, response.json()", entries.callable("pages"), to),
        entries.ours("Connector, plain function, orjson", entries.callable("plain_pages"), to),
        entries.ours(
            "Connector, async, orjson, with a key",
            entries.callable("orjson_pages"),
            to,
            is_keyed=True,
        ),
    ]
    folder = here / "dlt-jsonl"
    airbyte = here / "airbyte"
    peers = [
        entries.dlt(
            "dlt", JsonLines(folder, "files/pulled/records/*.jsonl"), folder, "jsonl", "append"
        ),
        entries.peer(
            "singer-sdk, to standard output",
            Messages(here / "singer", here / "stdout"),
            *("singer_tap.py", url),
        ),
        entries.peer(
            "airbyte-cdk, to standard output",
            Messages(airbyte, here / "stdout", "data"),
            *("airbyte_source.py", url, str(airbyte)),
        ),
    ]
    return [*bare, *ours, *peers]


def _to_sqlite(entries: Entries) -> list[Contender]:
    to, what = "sqlite:///{folder}/pulled.db", entries.callable("orjson_pages")
    made = []
    for mode in ("append", "merge"):
        folder = entries.stage.folder / f"dlt-sqlite-{mode}"
        made.append(
            entries.dlt(
                "dlt" if mode == "append" else "dlt, merge",
                Sqlite(folder, "dlt__pulled.db"),  # it makes a file for each schema
                *(folder, f"sqlite:///{folder}/dlt.db", mode),
            )
        )
    return [
        *made,
        entries.ours("Connector, declared", entries.stage.declared(), to),
        entries.ours("Connector, declared, merge", entries.stage.declared(), to, is_keyed=True),
        entries.ours("Connector", what, to),
        entries.ours("Connector, merge", what, to, is_keyed=True),
    ]


def _to_postgres(entries: Entries, url: URL) -> list[Contender]:
    folder = entries.stage.folder / "dlt-postgres"
    # dlt wants a host; that of the query, a folder with a socket, is the one that counts
    named = url.set(drivername="postgresql", host=url.host or "localhost")
    to = named.render_as_string(hide_password=False)
    return [
        entries.dlt("dlt, merge", Postgres(folder, url, "pulled"), folder, to, "merge"),
        entries.ours(
            "Connector, declared, merge",
            entries.stage.declared(),
            to,
            is_keyed=True,
            output=Postgres(folder, url, "public"),
        ),
        entries.ours(
            "Connector, merge",
            entries.callable("orjson_pages"),
            to,
            is_keyed=True,
            output=Postgres(folder, url, "public"),
        ),
    ]
