"""Databases of Postgres with a vault in them, made once and copied: to migrate one takes a second.

All workbenches of a test session have the same root key, so that each opens any of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from connector.simulator import Settings
from tests.acceptance.real_time import real_time_workbench
from tests.postgres import PostgresServer


@contextmanager
def vault_template(server: PostgresServer, folder: Path) -> Iterator[URL]:
    """Give a database that others may be copies of.

    Args:
        server: where it is made.
        folder: for the configuration that it is made with.
    """
    with server.database() as url:
        address = url.render_as_string(hide_password=False)
        with real_time_workbench(folder, Settings(), postgres_url=address):
            pass
        yield url
