"""What a configuration says, as values. Secrets are references here; nothing has been read yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from connector.account_name import AccountGlob
from connector.providers.declared_registration import DeclaredRegistration
from connector.providers.provider import Provider
from connector.pulls.spec import Pull
from connector.schedule import Schedule
from connector.seal_kinds import EXPORT_PASSPHRASE_VARIABLE, PASSPHRASE_VARIABLES, SEAL_VARIABLES
from connector.secret import SecretReference

#: The OpenTelemetry SDK takes headers from them, which may hold what a collector is paid with.
TELEMETRY_VARIABLES: Final = frozenset(
    {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultSettings:
    """Where the vault is and what seals it.

    Attributes:
        url: ``sqlite:///PATH``, absolute, or ``postgresql://…`` without a password; a reference
            to one where the whole URL is a secret.
        password: of Postgres, where the URL names one.
        seal_kind: ``keyring``, ``env``, ``file``, ``credential``, ``passphrase``, or what an
            installed package brings.
        seal_name: the variable, path, credential or address; may be empty.
        journal: folder for answers that could not be committed.
        allow_volatile_journal: it may be on a file system that a restart empties.
        audit_keep: seconds for which rows of the audit trail are kept; 0: for ever.
        audit_interval: seconds of token releases that one row of it sums up.
        seal_max_age: seconds after which a daemon whose seal has not answered again counts as
            sealed; None: once open, it asks its seal no more.
    """

    url: str | SecretReference
    password: SecretReference | None
    seal_kind: str
    seal_name: str
    journal: Path
    allow_volatile_journal: bool = False
    audit_keep: float = 400 * 86_400.0
    audit_interval: float = 60.0
    seal_max_age: float | None = None

    @property
    def seal(self) -> str:
        """The seal as the configuration has it."""
        return f"{self.seal_kind}:{self.seal_name}" if self.seal_name else self.seal_kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Where the daemon listens.

    Attributes:
        host: a loopback address.
        port: TCP port.
        socket: path of the Unix socket; None: no socket.
        public_url: the https address under which people reach it, where there is one.
        session_idle: seconds after which a session of the dashboard that nobody uses ends.
        session_lifetime: seconds after which any session of the dashboard ends.
        history_keep: seconds for which what came of refreshes is kept; 0: no limit but that of
            their number.
        runs_keep: seconds for which runs of jobs and their logs are kept; 0: for ever.
        rate_limit: calls a second of one API key; 0: as many as it likes.
        max_connections: that may be open over TCP.
        heartbeat: seconds between two words of a run's owner that it is there.
        concurrent_runs: of all jobs, in one process.
        run_memory: of each run of a job that says nothing else, in bytes; None: no limit.
    """

    host: str
    port: int
    socket: Path | None
    public_url: str
    session_idle: float = 30 * 60.0
    session_lifetime: float = 12 * 3600.0
    history_keep: float = 90 * 86_400.0
    runs_keep: float = 90 * 86_400.0
    rate_limit: int = 10_000
    max_connections: int = 512
    heartbeat: float = 5.0
    concurrent_runs: int = 16
    run_memory: int | None = None

    @property
    def address(self) -> str:
        """Where people reach it, without a slash at the end."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSettings:
    """For every call that leaves.

    Attributes:
        proxy: URL of a proxy; not shown, for it may hold a password.
        ca_file: PEM file of the certificate authorities to trust instead of the system's.
    """

    proxy: str | None = field(repr=False)
    ca_file: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationSettings:
    """Where a job's records go.

    Attributes:
        url: ``sqlite:///PATH`` or ``jsonl:PATH``, the path absolute, or ``postgresql://…`` without
            a password; a reference to one where the whole is a secret.
        table: of a database.
        key: the fields by which a record is the same one again; empty: every record is new.
        password: of Postgres, where the URL names one.
        mode: ``merge``: a record replaces the one of the same key, where there is a key;
            ``append``: every one is new.
        columns: field → declared type, of `settings.destinations.COLUMN_TYPES`.
        max_rejected: records of one run that may be set aside before it fails.
        vault_files: that no record may be written into.
    """

    url: str | SecretReference
    table: str
    key: tuple[str, ...]
    password: SecretReference | None = None
    mode: Literal["merge", "append"] = "merge"
    columns: Mapping[str, str] = field(default_factory=dict)
    max_rejected: int = 1000
    vault_files: frozenset[Path] = field(default=frozenset(), repr=False, compare=False)

    @property
    def merge_key(self) -> tuple[str, ...]:
        """The key by which records replace others; empty where none does."""
        return self.key if self.mode == "merge" else ()


CatchUp = Literal["last", "all", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSettings:
    """One scheduled data pull.

    Attributes:
        name: of its table.
        accounts: which accounts it runs for.
        provider: only accounts of this provider, where set.
        schedule: when it is due; None: only when asked for.
        run: ``module:function`` of the callable; empty: it is a declared pull.
        destination: where its records go.
        deadline: seconds after which a run is killed.
        jitter: seconds within which a run's start is spread.
        options: further settings, given to the callable as they are.
        after: the job whose scheduled runs this one follows when they succeed; it has no schedule.
        catch_up: which missed slots are run: the ``last`` one, ``all``, or ``none``.
        scopes: what an account has to be granted; another one is not run for.
        request: the declared pull, as far as its provider is known here; None: it is a callable.
        request_table: the pull as it is written, in JSON values, for the process that runs it.
        concurrent_runs: of it at one provider, in one process.
        memory: bytes; a run that takes more is killed. None: no limit.
    """

    name: str
    accounts: AccountGlob
    provider: str | None
    schedule: Schedule | None
    run: str
    destination: DestinationSettings
    deadline: float
    jitter: float
    options: Mapping[str, object]
    after: str | None = None
    catch_up: CatchUp = "last"
    scopes: tuple[str, ...] = ()
    request: Pull | None = None
    request_table: Mapping[str, object] = field(default_factory=dict)
    concurrent_runs: int = 6
    memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where signed requests go (Standard Webhooks).

    Attributes:
        url: https, or a reference to one; not shown, for it may hold a token.
        secrets: that sign, the newest first.
    """

    url: str = field(repr=False)
    secrets: tuple[SecretReference, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifySettings:
    """Where notices go.

    Attributes:
        urls: Apprise URLs, or references to them; not shown, for they hold tokens.
        command: a command that takes a notice as JSON on standard input.
        webhooks: where signed requests go.
        reminders: seconds from a notice to its first reminder, from there to the second and so on;
            the last one repeats. None of them: nobody is reminded.
    """

    urls: tuple[str, ...] = field(repr=False)
    command: tuple[str, ...]
    webhooks: tuple[WebhookSettings, ...] = ()
    reminders: tuple[float, ...] = (86_400.0, 3 * 86_400.0, 7 * 86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Where traces go.

    Attributes:
        otlp_endpoint: base URL of a collector that takes OTLP over HTTP; empty: nothing is traced.
        service_name: what the daemon is called there.
        headers: sent with each export: ``NAME=VALUE``, separated by commas.
    """

    otlp_endpoint: str = ""
    service_name: str = "connector"
    headers: SecretReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A whole configuration.

    Attributes:
        path: the file.
        vault, daemon, http, notify, telemetry: its tables.
        providers: by name.
        registrations: by provider name.
        jobs: by name.
        secret_variables: environment variables that the configuration names, which hold secrets.
        provider_runs: how many runs go on at once for a provider, in one process, by name.
    """

    path: Path
    vault: VaultSettings
    daemon: DaemonSettings
    http: HttpSettings
    notify: NotifySettings
    telemetry: TelemetrySettings
    providers: Mapping[str, Provider]
    registrations: Mapping[str, DeclaredRegistration]
    jobs: Mapping[str, JobSettings]
    secret_variables: frozenset[str]
    provider_runs: Mapping[str, int] = field(default_factory=dict)

    @property
    def hidden_variables(self) -> frozenset[str]:
        """Environment variables that no child process gets: what configuration or seal names."""
        of_seal = SEAL_VARIABLES.get(self.vault.seal_kind, frozenset())
        passphrases = PASSPHRASE_VARIABLES | {EXPORT_PASSPHRASE_VARIABLE}
        of_telemetry = TELEMETRY_VARIABLES if self.telemetry.otlp_endpoint else frozenset[str]()
        return self.secret_variables | passphrases | of_seal | of_telemetry

    @property
    def folder(self) -> Path:
        """What relative paths are relative to."""
        return self.path.parent
