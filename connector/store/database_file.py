"""Which database a configuration names; of SQLite its file: made, looked at, or taken back."""

from sqlalchemy.engine import URL, make_url

from connector.errors import VaultSealed
from connector.secret import SecretReference
from connector.settings import VaultSettings
from connector.store.database import Database
from connector.store.sqlite_file import check_file, prepare_file


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


def remove_new_file(database: Database) -> None:
    """Take back the file of a vault that could not be made, so that a next try begins anew."""
    assert database.path is not None  # noqa: S101 - the caller has looked
    for suffix in ("", "-wal", "-shm"):
        database.path.with_name(database.path.name + suffix).unlink(missing_ok=True)
