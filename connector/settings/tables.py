"""Reads ``[vault]``, ``[daemon]`` and ``[http]``."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from connector.oauth.endpoint_url import check_endpoint_url, is_loopback_host
from connector.seal_kinds import NotASeal, SealName, parse_seal
from connector.secret import REFERENCE_KINDS, Secret, SecretReference
from connector.settings.memory import read_memory
from connector.settings.values import DaemonSettings, HttpSettings, VaultSettings
from connector.toml_section import Section

DEFAULT_PORT: Final = 8470
#: Calls a second of one key: more than one process answers, so that it stops nobody who has not
#: asked for a bound; connections are shared out in any case.
DEFAULT_RATE_LIMIT: Final = 10_000
#: A year and a month: what a yearly review looks back on.
DEFAULT_AUDIT_KEEP: Final = 400 * 86_400.0
#: A season: what somebody asks about who wonders since when something is slow.
DEFAULT_HISTORY_KEEP: Final = 90 * 86_400.0
DEFAULT_RUNS_KEEP: Final = 90 * 86_400.0
DEFAULT_AUDIT_INTERVAL: Final = 60.0
#: A person who is at work with it comes back within half an hour; half a day is a working day.
DEFAULT_SESSION_IDLE: Final = 30 * 60.0
DEFAULT_SESSION_LIFETIME: Final = 12 * 3600.0
#: Shorter, and a person is signed out while reading; longer, and a stolen cookie is good for ever.
_SESSIONS: Final = (60.0, 30 * 86_400.0)
#: More often would be more rows than anybody reads; rarer, and a crash forgets too much.
_AUDIT_INTERVALS: Final = (1.0, 86_400.0)
#: A run whose owner was silent for four of them is taken over: 20 s.
DEFAULT_HEARTBEAT: Final = 5.0
#: More often is a write a second for each run; rarer, and a killed host is missed late.
_HEARTBEATS: Final = (1.0, 600.0)
#: Child processes at once: each is a Python of its own, some 40 MiB.
DEFAULT_RUNS: Final = 16
_POSTGRES_SCHEMES: Final = ("postgresql", "postgres")


def read_vault(section: Section, *, allow_plaintext: bool = False) -> VaultSettings:
    """Read ``[vault]``.

    Args:
        section: the table.
        allow_plaintext: a literal password in the URL is accepted.
    """
    url, password = _read_vault_url(section, allow_plaintext=allow_plaintext)
    seal = _read_seal(section)
    vault = VaultSettings(
        url=url,
        password=password,
        seal_kind=seal.kind,
        seal_name=seal.name,
        journal=_read_journal(section, url),
        allow_volatile_journal=section.boolean("allow_volatile_journal", default=False),
        audit_keep=section.duration("audit_keep", DEFAULT_AUDIT_KEEP) or 0.0,
        audit_interval=_read_audit_interval(section),
        seal_max_age=_read_seal_max_age(section, seal),
    )
    section.finish()
    return vault


#: What browsers leave out.
_DEFAULT_PORT: Final = {"http": ":80", "https": ":443"}


def read_daemon(section: Section) -> DaemonSettings:
    """Read ``[daemon]``."""
    host = section.text("host", "127.0.0.1")
    if not is_loopback_host(host):
        section.problem(
            "host",
            f"{host!r} is not a loopback address",
            'use host = "127.0.0.1" and a reverse proxy with TLS, its address in public_url',
        )
    socket = section.text("socket", "connector.sock")
    public_url = section.text("public_url").rstrip("/")
    if public_url:
        public_url = _read_public_url(section, public_url)
    daemon = DaemonSettings(
        host=host,
        port=section.integer("port", DEFAULT_PORT, lowest=1, highest=65535),
        socket=section.folder / Path(socket).expanduser() if socket else None,
        public_url=public_url,
        session_idle=_read_session(section, "session_idle", DEFAULT_SESSION_IDLE),
        session_lifetime=_read_session(section, "session_lifetime", DEFAULT_SESSION_LIFETIME),
        history_keep=section.duration("history_keep", DEFAULT_HISTORY_KEEP) or 0.0,
        runs_keep=section.duration("runs_keep", DEFAULT_RUNS_KEEP) or 0.0,
        rate_limit=section.integer("rate_limit", DEFAULT_RATE_LIMIT, lowest=0, highest=1_000_000),
        max_connections=section.integer("max_connections", 512, lowest=16, highest=65_536),
        heartbeat=_read_heartbeat(section),
        concurrent_runs=section.integer("concurrent_runs", DEFAULT_RUNS, lowest=1, highest=1024),
        run_memory=read_memory(section, "run_memory", None),
    )
    section.finish()
    return daemon


def read_http(section: Section) -> HttpSettings:
    """Read ``[http]``."""
    proxy = section.optional_text("proxy")
    if proxy and urlsplit(proxy).scheme not in {"http", "https"}:
        remedy = 'write proxy = "http://proxy.example:3128"'
        section.problem("proxy", "is not an http or https URL", remedy)
    ca_file = section.optional_text("ca_file")
    path = section.folder / Path(ca_file).expanduser() if ca_file else None
    if path is not None and not path.is_file():
        section.problem("ca_file", f"there is no file {path}", "name a PEM file")
    section.finish()
    return HttpSettings(proxy=proxy, ca_file=str(path) if path else None)


def absolute_sqlite_url(url: str, folder: Path) -> str:
    """Make the path of a SQLite URL absolute: it is relative to the configuration's folder."""
    path = Path(url.removeprefix("sqlite:///")).expanduser()
    return f"sqlite:///{(folder / path).resolve()}"


def _read_public_url(section: Section, url: str) -> str:
    """Give a public URL as browsers write it; report one that no redirect URI can be made of."""
    remedy = 'write public_url = "https://connector.example"'
    try:
        check_endpoint_url(url)
    except ValueError as error:
        section.problem("public_url", str(error), remedy)
        return url
    parts = urlsplit(url)
    if "?" in url or parts.path:  # our pages and cookies stand at the top of their host
        section.problem("public_url", "must have neither a path nor a query", remedy)
    # RFC 3986 §6.2.2.1, §6.2.3: so is it in a Host or Origin header, by which browsers are known
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORT[parts.scheme]).removesuffix(":")
    return f"{parts.scheme}://{host}"


def _read_seal(section: Section) -> SealName:
    try:
        return parse_seal(section.text("seal", "keyring"))
    except NotASeal as error:
        section.problem("seal", error.message, error.remedy)
        return SealName("keyring", "")


def _read_seal_max_age(section: Section, seal: SealName) -> float | None:
    max_age = section.duration("seal_max_age", None)
    if max_age == 0:
        section.problem("seal_max_age", "leaves no time", 'write seal_max_age = "1h"')
    if max_age is not None and str(seal) in {"passphrase", f"env:{seal.name}"}:
        message = f"a seal of {seal.kind} cannot be asked again"
        remedy = "leave it out, or name a seal that another program keeps, such as transit"
        section.problem("seal_max_age", message, remedy)
    return max_age or None


def _read_vault_url(
    section: Section, *, allow_plaintext: bool
) -> tuple[str | SecretReference, SecretReference | None]:
    url = section.text("url", "sqlite:///vault.db")
    kind, _, name = url.partition(":")
    if kind in REFERENCE_KINDS and name:
        return section.reference("url", kind, name), None
    if url.startswith("sqlite:///"):
        if not url.removeprefix("sqlite:///") or ":memory:" in url:
            section.problem("url", "names no file", 'write url = "sqlite:///vault.db"')
        return absolute_sqlite_url(url, section.folder), None
    scheme, separator, rest = url.partition("://")
    if scheme not in _POSTGRES_SCHEMES or not separator:
        remedy = 'write "sqlite:///vault.db" or "postgresql://…"'
        section.problem("url", "is no database URL", remedy)
        return "", None
    return split_password(section, "url", f"postgresql://{rest}", allow_plaintext=allow_plaintext)


def _read_journal(section: Section, url: str | SecretReference) -> Path:
    """Read where the journal is: beside a SQLite database, else beside the configuration."""
    path = section.text("journal")
    if path:
        return section.folder / Path(path).expanduser()
    if isinstance(url, str) and url.startswith("sqlite:///"):
        return Path(f"{url.removeprefix('sqlite:///')}.journals")
    return section.folder / "vault.journals"


def _read_session(section: Section, key: str, default: float) -> float:
    seconds = section.duration(key, default)
    least, most = _SESSIONS
    if seconds is None or not least <= seconds <= most:
        section.problem(key, "must be from 1m to 30d", f'write {key} = "{default / 3600:g}h"')
        return default
    return seconds


def _read_heartbeat(section: Section) -> float:
    seconds = section.duration("heartbeat", DEFAULT_HEARTBEAT)
    least, most = _HEARTBEATS
    if seconds is None or not least <= seconds <= most:
        section.problem("heartbeat", "must be from 1s to 10m", 'write heartbeat = "5s"')
        return DEFAULT_HEARTBEAT
    return seconds


def _read_audit_interval(section: Section) -> float:
    seconds = section.duration("audit_interval", None)
    if seconds is None:
        return DEFAULT_AUDIT_INTERVAL
    least, most = _AUDIT_INTERVALS
    if not least <= seconds <= most:
        section.problem("audit_interval", "must be from 1s to 1d", 'write audit_interval = "1m"')
    return seconds


def split_password(
    section: Section, key: str, url: str, *, allow_plaintext: bool
) -> tuple[str, SecretReference | None]:
    """Take the password out of a URL of Postgres, so that the URL may be shown.

    Args:
        section: has it.
        key: of the URL.
        url: as it was written.
        allow_plaintext: a literal password is accepted.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        remedy = "percent-encode what is special in its password: '/' is %2F"
        section.problem(key, "is no database URL", remedy)
        return "", None
    if parts.password is None:
        return url, None
    user, _, host = parts.netloc.rpartition("@")
    user = user.partition(":")[0]
    shown = url.replace(parts.netloc, f"{user}@{host}" if user else host, 1)
    password = unquote(parts.password)
    kind, _, name = password.partition(":")
    if kind in REFERENCE_KINDS and name:
        return shown, section.reference(key, kind, name)
    is_from_environment = ".".join((*section.path, key)) in section.overrides
    if password and not (allow_plaintext or is_from_environment):
        section.problem(
            key,
            "holds a literal password",
            "put a reference in its place (postgresql://user:env:NAME@host/…), "
            "or set allow_plaintext_secrets = true",
        )
    literal = Secret(password) if password else None
    return shown, section.reference(key, "literal", "", literal=literal) if literal else None
