"""Looks at whether records can go into a DuckDB file; nothing is written."""

import contextlib
import fcntl
import os
from pathlib import Path

import duckdb

from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.duckdb_hold import holder, is_held, told
from connector.jobs.destinations.duckdb_table import DuckdbTable
from connector.jobs.destinations.failing import failing
from connector.jobs.destinations.records import ACCOUNT_FIELD, storable_text
from connector.jobs.destinations.sqlite_table import folded


def check_duckdb(path: Path, *, table: str, key: tuple[str, ...]) -> str | None:
    """Check that the table of a file, where there is one, takes the records of a job.

    Args:
        path: of the file, which is there.
        table: that takes the records.
        key: the fields by which a record replaces another; empty: none does.

    Returns:
        What keeps a run waiting; None: nothing does, or another run alone.

    Raises:
        DestinationFailed: it does not; the message ends with what to do.
        OSError: it cannot be read.
    """
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        text = " ".join(str(error).split())
        if not is_held(text):
            raise DestinationFailed(told(path, text)) from error
        if _is_written(path):
            return None
        return (
            f"{path}: another program has it open{holder(text)}, and DuckDB lets nobody write"
            " meanwhile: a run waits for 30 seconds, then fails"
        )
    merge_key = (ACCOUNT_FIELD, *(folded(storable_text(name)) for name in key)) if key else ()
    with contextlib.closing(connection), failing(duckdb.Error, str(path)):
        DuckdbTable(table, merge_key).read(connection)
    return None


def _is_written(path: Path) -> bool:
    """Tell whether a run of ours has the file."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
