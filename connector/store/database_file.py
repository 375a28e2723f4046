"""Which database a configuration names; of SQLite its file: made, looked at, or taken back."""

from typing import Final

from sqlalchemy.engine import URL, make_url

from connector.errors import VaultSealed
from connector.secret import SecretReference
from connector.settings import VaultSettings
from connector.store.database import Database
from connector.store.sqlite_file import check_file, prepare_file

#: Bytes of a SQLite file that is looked through at a daemon's start: a second, or some.
LARGEST_CHECKED: Final = 512 * 1024 * 1024


def database_url(vault: VaultSettings) -> URL:
    """Give the database's URL with its secrets read.

    Raises:
        ConfigurationError: a secret is missing.
    """
    if isinstance(vault.url, SecretReference):
        return make_url(vault.url.resolve().reveal())
    url = make_url(vault.url)
    if vault.password is None:
        return url
    return url.set(password=vault.password.resolve().reveal())


def prepare_database(database: Database, *, create: bool) -> bool:
    """Create or check the file of a SQLite database; tell whether it was created.

    Raises:
        VaultSealed: there is none, or it is not safe.
    """
    path = database.path
    if path is None:
        return False
    if create:
        return prepare_file(path)
    if not path.exists():
        raise VaultSealed(f"there is no vault at {path}", "Type: connector init")
    check_file(path)
    return False


async def check_whole(database: Database, *, largest: int = LARGEST_CHECKED) -> None:
    """Have SQLite look through its file, page by page, before anything is written to it.

    Damage that is met later costs what is written on top of it (CHECKLIST 140).

    Args:
        database: whose file is looked through; of Postgres the server looks after its own.
        largest: bytes; a larger file is not looked through, since nothing is served meanwhile.

    Raises:
        VaultSealed: it is damaged; nothing was written.
        TemporarilyUnavailable: it cannot be had.
    """
    if database.path is None or database.path.stat().st_size > largest:
        return
    found = await database.look_up(
        lambda connection: connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    )
    if found != "ok":
        raise VaultSealed(
            f"the database {database.description} is damaged: {found}",
            "Nothing was written. Stop Connector and restore the database from a backup.",
        )


def remove_new(database: Database) -> None:
    """Take back the file of a vault that could not be made, so that a next try begins anew."""
    assert database.path is not None  # noqa: S101 - the caller has looked
    for suffix in ("", "-wal", "-shm"):
        database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
