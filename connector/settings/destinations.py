"""Reads ``[jobs.*.destination]``, and gives its secrets when a run begins."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, cast
from urllib.parse import quote, urlencode, urlsplit

from connector.errors import ConfigurationError, Problem
from connector.postgres_uri import split_uri
from connector.secret import REFERENCE_KINDS, SecretReference
from connector.settings.credentials import secrets_of
from connector.settings.tables import absolute_sqlite_url, split_password
from connector.settings.values import DestinationSettings, VaultSettings
from connector.toml_section import Section

#: What a column may be declared as; `connector.jobs.destinations.column_types` has their meaning.
COLUMN_TYPES: Final = (
    "bool",
    "bigint",
    "double",
    "numeric",
    "date",
    "timestamptz",
    "jsonb",
    "text",
)
#: A thousand records that are set aside are enough to see what is wrong with them.
DEFAULT_MAX_REJECTED: Final = 1000
#: Postgres cuts names off after 63 bytes; ``_rejected`` is put behind a table's.
LONGEST_TABLE: Final = 54

_WRITE: Final = (
    'write "sqlite:///ads.db", "jsonl:ads.jsonl", "duckdb:ads.duckdb",'
    ' "parquet:ads", "dlt:bigquery" or "postgresql://user@host/ads"'
)
_APART: Final = 'name another file: "sqlite:///ads.db"'
_IS_VAULT: Final = "is the vault: records would be written among its secrets"
_TABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS: Final = "_connector"
_POSTGRES: Final = ("postgresql", "postgres")
#: What stands before a path, and what is there.
_PATHS: Final = {"jsonl:": "file", "duckdb:": "file", "parquet:": "folder"}
#: What dlt may be told to write packages, and files, as.
FILE_FORMATS: Final = ("jsonl", "parquet", "csv")
_PREFERRED: Final = "preferred"
#: Kind → the module that it needs; the extra is named like the kind.
_NEEDED: Final = {"duckdb": "duckdb", "parquet": "pyarrow", "dlt": "dlt"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedDestination:
    """Where records go, with its secrets.

    Attributes:
        url: whole, with its password.
        secrets: texts that no message may hold.
    """

    url: str = field(repr=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False)


def read_destination(
    job: str, section: Section, vault_files: frozenset[Path], *, allow_plaintext: bool = False
) -> DestinationSettings | None:
    """Read the destination of a job.

    Args:
        job: its name, which the table has where none is named.
        section: the table.
        vault_files: that no record may be written into.
        allow_plaintext: a literal password is accepted.
    """
    to = section.text("to", is_required=True)
    table = section.text("table", job.replace("-", "_"))
    if _TABLE.fullmatch(table) is None:
        section.problem("table", f"{table!r} is not a table's name", "use A-Z, a-z, 0-9 and '_'")
    elif len(table) > LONGEST_TABLE:
        section.problem("table", "is too long a name", f"use {LONGEST_TABLE} letters at the most")
    elif table.lower().startswith(_OURS):
        section.problem("table", f"{table!r} is a name of ours", "take another name")
    key = section.texts("key")
    mode = section.choice("mode", ("merge", "append"), "merge")
    if section.table.get("mode") == "merge" and not key:
        remedy = 'write key = ["id"], or mode = "append"'
        section.problem("mode", "cannot be merge where there is no key", remedy)
    columns = _read_columns(section)
    max_rejected = section.integer("max_rejected", DEFAULT_MAX_REJECTED, lowest=0, highest=10**9)
    place = _read_place(section, to, vault_files, allow_plaintext=allow_plaintext)
    if place is not None and to.startswith("dlt:"):
        place = _read_dlt(section, str(place[0]))
    section.finish()
    if place is None:
        return None
    url, password = place
    return DestinationSettings(
        url=url,
        password=password,
        table=table,
        key=key,
        mode=cast("Literal['merge', 'append']", mode),
        columns=columns,
        max_rejected=max_rejected,
        vault_files=vault_files,
    )


def resolve_destination(destination: DestinationSettings) -> ResolvedDestination:
    """Read the secrets of a destination; this may take seconds, where a keyring is asked.

    Raises:
        ConfigurationError: a secret is missing, or what it holds is no destination.
    """
    url = destination.url
    if isinstance(url, SecretReference):
        return _resolve_whole(url, destination.vault_files)
    if destination.password is None:
        return ResolvedDestination(url=url)
    password = destination.password.resolve().reveal()
    if url.startswith("dlt:"):
        whole = f"{url}&{urlencode({'credentials': password})}"
        secrets = secrets_of(password)
        return ResolvedDestination(url=whole, secrets=secrets)
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    quoted = quote(password, safe="")
    whole = parts._replace(netloc=f"{user}:{quoted}{at or '@'}{host}").geturl()
    return ResolvedDestination(url=whole, secrets=frozenset({password, quoted}))


def vault_files(vault: VaultSettings) -> frozenset[Path]:
    """Give the files of the vault's database, where it is known and has files."""
    if isinstance(vault.url, SecretReference) or not vault.url.startswith("sqlite:///"):
        return frozenset()
    path = vault.url.removeprefix("sqlite:///")
    return frozenset(Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal"))


def file_of(url: str) -> Path | None:
    """Give the file, or the folder, of a destination that has one."""
    for start in ("sqlite:///", *_PATHS):
        if url.startswith(start):
            return Path(url.removeprefix(start))
    return None


def is_installed(url: str) -> bool:
    """Tell whether the library is there that a kind of destination needs."""
    needed = _NEEDED.get(url.partition(":")[0])
    return needed is None or find_spec(needed) is not None


def parse_destination(text: str, folder: Path) -> str:
    """Give the URL of a destination, with an absolute path where it has one.

    Args:
        text: as it was written.
        folder: what a relative path is relative to.

    Raises:
        ValueError: it is none.
    """
    if text.startswith("sqlite:///"):
        if text == "sqlite:///" or ":memory:" in text:
            raise ValueError("names no file")
        return absolute_sqlite_url(text, folder)
    kind, _, rest = text.partition(":")
    if f"{kind}:" in _PATHS:
        if not rest or rest == ":memory:":
            raise ValueError(f"names no {_PATHS[f'{kind}:']}")
        return f"{kind}:{(folder / Path(rest).expanduser()).resolve()}"
    if kind == "dlt":
        if _TABLE.fullmatch(rest) is None:
            raise ValueError("names no destination of dlt's")
        return f"dlt:{rest}?{urlencode({'folder': str(folder.resolve())})}"
    if kind in _POSTGRES and rest.startswith("//"):
        return f"postgresql:{rest}"
    raise ValueError("is no destination")


def _read_columns(section: Section) -> Mapping[str, str]:
    columns = section.text_map("columns")
    for name, kind in columns.items():
        if kind not in COLUMN_TYPES:
            nearest = difflib.get_close_matches(kind, COLUMN_TYPES, n=1)
            remedy = f"did you mean {nearest[0]}?" if nearest else "write one of them"
            message = f"{name} must be one of {', '.join(COLUMN_TYPES)}"
            section.problem("columns", message, remedy)
    return columns


def _read_place(
    section: Section, to: str, taken: frozenset[Path], *, allow_plaintext: bool
) -> tuple[str | SecretReference, SecretReference | None] | None:
    """Read where it is, with its password apart."""
    kind, _, name = to.partition(":")
    if kind in REFERENCE_KINDS and name:
        return section.reference("to", kind, name), None
    if not to:
        return None  # has been told
    try:
        url = parse_destination(to, section.folder)
    except ValueError as error:
        section.problem("to", str(error), _WRITE)
        return None
    if file_of(url) in taken:
        section.problem("to", _IS_VAULT, _APART)
        return None
    if not is_installed(url):
        extra = url.partition(":")[0]
        section.problem("to", "needs what is not installed", f"pip install 'connector[{extra}]'")
        return None
    if url.startswith("postgresql:"):
        return split_password(section, "to", url, allow_plaintext=allow_plaintext)
    return url, None


def _read_dlt(section: Section, url: str) -> tuple[str, SecretReference | None]:
    """Read what only dlt's destinations have."""
    dataset = section.text("dataset", "connector")
    if _TABLE.fullmatch(dataset) is None:
        section.problem("dataset", f"{dataset!r} is no name", "use A-Z, a-z, 0-9 and '_'")
    text = section.text("credentials")
    kind, _, name = text.partition(":")
    reference = None
    if kind in REFERENCE_KINDS and name:
        reference = section.reference("credentials", kind, name)
    elif text:
        section.problem("credentials", "is no reference", 'write "env:NAME" or "file:PATH"')
    given = {"dataset": dataset}
    file_format = section.choice("file_format", (_PREFERRED, *FILE_FORMATS), _PREFERRED)
    if file_format != _PREFERRED:
        given["file_format"] = file_format
    return f"{url}&{urlencode(given)}", reference


def _resolve_whole(reference: SecretReference, taken: frozenset[Path]) -> ResolvedDestination:
    """Read a destination that is a secret as a whole."""
    text = reference.resolve().reveal()
    problem: Problem | None = None
    url, secrets = "", {text}
    try:
        url = parse_destination(text, reference.folder)
        if url.startswith("postgresql:"):
            uri = split_uri(url)
            urlsplit(f"//{uri.place}")
            secrets |= uri.secrets
            if uri.is_ambiguous:
                what = "what it holds has '@' or '/' in its user or password"
                remedy = "write %40 for '@', %2F for '/'"
                problem = Problem(reference.source, reference.key, what, remedy)
    except ValueError as error:
        what = str(error) if str(error).startswith(("is ", "names ")) else "is no URL"
        problem = Problem(reference.source, reference.key, f"what it holds {what}", _WRITE)
    if problem is None and file_of(url) in taken:
        problem = Problem(reference.source, reference.key, f"what it holds {_IS_VAULT}", _APART)
    if problem is not None:
        raise ConfigurationError([problem])
    return ResolvedDestination(url=url, secrets=frozenset(secrets))
