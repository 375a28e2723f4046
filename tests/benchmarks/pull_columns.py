"""Who pulls into files of columns, DuckDB's and Parquet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.pull_outputs import DuckDb, Parquet

if TYPE_CHECKING:
    from tests.benchmarks.pull_contenders import Contender, Entries


def to_duckdb(entries: "Entries") -> list["Contender"]:
    """Give those that write to a DuckDB file."""
    made = []
    for mode in ("append", "merge"):
        folder = entries.stage.folder / f"dlt-duckdb-{mode}"
        made.append(
            entries.dlt(
                "dlt" if mode == "append" else "dlt, merge",
                DuckDb(folder, "dlt.duckdb", "pulled.records"),
                *(folder, f"duckdb:{folder}/dlt.duckdb", mode),
            )
        )
    to, what = "duckdb:{folder}/pulled.duckdb", entries.callable("orjson_pages")
    return [
        *made,
        entries.ours("Connector, declared", entries.stage.declared(), to),
        entries.ours("Connector, declared, merge", entries.stage.declared(), to, is_keyed=True),
        entries.ours("Connector", what, to),
        entries.ours("Connector, merge", what, to, is_keyed=True),
    ]


def to_parquet(entries: "Entries") -> list["Contender"]:
    """Give those that write parts: a key only has what is the same not be written again."""
    folder = entries.stage.folder / "dlt-parquet"
    to, what = "parquet:{folder}/pulled", entries.callable("orjson_pages")
    output = Parquet(folder, "files/pulled/records/*.parquet")
    return [
        entries.peer(
            "dlt",
            output,
            *("dlt_pull.py", "parquet", "append", str(folder), entries.stage.url()),
            python=Path(sys.executable),  # the peers' environment has no pyarrow
        ),
        entries.ours("Connector, declared", entries.stage.declared(), to),
        entries.ours(
            "Connector, declared, with a key", entries.stage.declared(), to, is_keyed=True
        ),
        entries.ours("Connector", what, to),
    ]
