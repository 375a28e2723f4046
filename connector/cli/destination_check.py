"""The check of a job's destination behind ``connector jobs check``; nothing is written there."""

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import quote

from connector.cli.checkup.finding import Finding
from connector.errors import ConfigurationError
from connector.jobs.destinations.destination import DestinationFailed
from connector.jobs.destinations.records import ACCOUNT_FIELD
from connector.jobs.destinations.spool_check import check_files
from connector.jobs.destinations.sqlite_table import SqliteTable
from connector.settings import DestinationSettings
from connector.settings.destinations import file_of, resolve_destination

_SUBJECT: Final = "destination"


def check_destination(place: DestinationSettings) -> Finding:
    """Check that the records of a job can be written.

    Args:
        place: where they go.
    """
    try:
        url = resolve_destination(place).url
    except ConfigurationError as error:
        problem = error.problems[0]
        return _problem(f"{problem.key}: {problem.message}", problem.remedy)
    if url.startswith("postgresql:"):
        return _check_server(place, url)
    file = file_of(url)
    if file is None:  # what dlt loads into is asked when it loads
        return _good(f"{url.partition('?')[0]} is loaded into by dlt")
    try:
        warning = _KINDS[url.partition(":")[0]](file, place)
    except sqlite3.IntegrityError as error:
        message, _, remedy = str(error).rpartition(": ")
        return _problem(f"{file}: {message}", remedy)
    except DestinationFailed as error:
        message, _, remedy = str(error).rpartition(": ")
        return _problem(message or remedy, remedy if message else "")
    except (OSError, sqlite3.Error) as error:
        remedy = "check its folder and its mode, or change destination.to"
        return _problem(f"{file} cannot be written: {_reason(error)}", remedy)
    if warning:
        return Finding(subject=_SUBJECT, verdict="warning", message=warning)
    return _good(f"{file} can be written")


def _check_sqlite(file: Path, place: DestinationSettings) -> None:
    _check_folder(file.parent)
    _check_database(file)
    _check_table(file, place)


def _check_json_lines(file: Path, _place: DestinationSettings) -> None:
    _check_folder(file.parent)
    _check_file(file)
    _check_database(file.with_name(f"{file.name}.state"))
    check_files(file)


def _check_parquet(folder: Path, _place: DestinationSettings) -> None:
    _check_folder(folder.parent)
    _check_folder(folder)
    _check_file(folder / "_connector.lock")
    _check_database(folder / "_connector.state")
    check_files(folder / "_connector")


def _check_duckdb(file: Path, place: DestinationSettings) -> str | None:
    _check_folder(file.parent)
    for one in (file, Path(f"{file}.lock"), Path(f"{file}.waiting")):
        _check_file(one)
    if not file.exists():
        return None
    from connector.jobs.destinations.duckdb_check import check_duckdb

    return check_duckdb(file, table=place.table, key=place.merge_key)


#: What stands before the path, and the check of what is there.
_KINDS: Final[dict[str, Callable[[Path, DestinationSettings], str | None]]] = {
    "sqlite": _check_sqlite,
    "jsonl": _check_json_lines,
    "parquet": _check_parquet,
    "duckdb": _check_duckdb,
}


def _check_server(place: DestinationSettings, url: str) -> Finding:
    try:
        from connector.jobs.destinations.postgres_check import check_postgres

        name = check_postgres(url, table=place.table, key=place.merge_key)
    except (DestinationFailed, ImportError) as error:
        return _problem(str(error), "the message says what to do; or change destination.to")
    return _good(f"{name} can be written")


def _check_folder(folder: Path) -> None:
    """Check that files can be made in a folder, or the folder itself.

    Raises:
        OSError: they cannot.
    """
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(f"{nearest} is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(f"{nearest} is not writable")


def _check_file(file: Path) -> None:
    """Check that lines can be added to a file, where there is one.

    Raises:
        OSError: they cannot.
    """
    if file.exists():
        with file.open("ab"):
            pass


def _check_database(file: Path) -> None:
    """Check that a SQLite file, where there is one, can be written; nothing is.

    Raises:
        sqlite3.Error, OSError: it cannot.
    """
    if not file.exists():
        return
    url = f"file:{quote(str(file))}?mode=rw"
    database = sqlite3.connect(url, uri=True, timeout=1.0, isolation_level=None)
    with contextlib.closing(database):
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise  # another run that writes into it now says that it can be written


def _check_table(file: Path, place: DestinationSettings) -> None:
    """Check that the table of a SQLite file, where there is one, takes the records of a job.

    Raises:
        sqlite3.IntegrityError: it does not; the message ends with what to do.
        sqlite3.Error: it cannot be read.
    """
    if not file.exists():
        return
    key = (ACCOUNT_FIELD, *place.merge_key) if place.merge_key else ()
    url = f"file:{quote(str(file))}?mode=rw"
    with contextlib.closing(sqlite3.connect(url, uri=True, timeout=1.0)) as database:
        try:
            SqliteTable(database, place.table, key, {}).read()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise  # whoever keeps readers out writes now: the run itself finds out


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def _good(message: str) -> Finding:
    return Finding(subject=_SUBJECT, verdict="ok", message=message)


def _problem(message: str, remedy: str) -> Finding:
    return Finding(subject=_SUBJECT, verdict="problem", message=message, remedy=remedy)
