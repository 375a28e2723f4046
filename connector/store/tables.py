"""The tables (SQLModel). Rows are dumb: what they mean is in `account`, `jobs.run` and their like.

Times are seconds since the Unix epoch, so that SQLite and Postgres agree on them. Columns whose
names end in ``_sealed`` hold ciphertext; no secret stands in any other. A change here needs a
migration in ``migrations/versions``, which a test compares with these tables.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, text
from sqlmodel import Field, SQLModel

from connector.store.column_types import ForeignText, LenientText, SealedBytes

_IS_DUE_SOME_DAY = text("due_at IS NOT NULL AND state = 'active'")


class VaultRow(SQLModel, table=True):
    """The one row that says which store this is."""

    __tablename__ = "vault"

    store_id: str = Field(primary_key=True)
    created_at: float


class VaultSealRow(SQLModel, table=True):
    """The root key, wrapped by one seal."""

    __tablename__ = "vault_seal"

    id: int | None = Field(default=None, primary_key=True)
    description: str
    root_key_wrapped: bytes = Field(sa_type=SealedBytes)
    created_at: float


class VaultKeyRow(SQLModel, table=True):
    """A data key, wrapped by the root key."""

    __tablename__ = "vault_key"

    key_id: int = Field(primary_key=True)
    wrapped: bytes = Field(sa_type=SealedBytes)
    created_at: float
    seals: int = Field(  # how many values it has sealed; see `store.seal_counts`
        default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"}
    )


class AccountRow(SQLModel, table=True):
    """One account; see `account.Account`."""

    __tablename__ = "account"
    __table_args__ = (
        # finding what is due among a million rows reads the few that are
        Index(
            "ix_account_due",
            "due_at",
            sqlite_where=_IS_DUE_SOME_DAY,
            postgresql_where=_IS_DUE_SOME_DAY,
        ),
    )

    id: str = Field(primary_key=True, sa_type=LenientText)
    name: str = Field(unique=True, sa_type=LenientText)
    provider: str = Field(sa_type=LenientText)
    state: str = Field(sa_type=LenientText)
    reason: str | None = Field(default=None, sa_type=ForeignText)
    state_since: float
    generation: int = Field(sa_type=BigInteger)
    created_at: float

    fingerprint: str | None = Field(default=None, sa_type=LenientText)
    subject: str | None = Field(default=None, sa_type=ForeignText)
    subject_name: str | None = Field(default=None, sa_type=ForeignText)
    token_type: str | None = Field(default=None, sa_type=ForeignText)
    scope: str | None = Field(default=None, sa_type=ForeignText)
    minted_at: float | None = None
    expires_at: float | None = None
    lifetime: float | None = None
    consented_at: float | None = None
    consent_ends_at: float | None = None
    access_token_sealed: bytes | None = Field(default=None, sa_type=SealedBytes)
    refresh_token_sealed: bytes | None = Field(default=None, sa_type=SealedBytes)
    extra_sealed: bytes | None = Field(default=None, sa_type=SealedBytes)

    lease_owner: str | None = Field(default=None, sa_type=LenientText)
    lease_until: float | None = None
    lease_fence: int = Field(default=0, sa_type=BigInteger)

    attempt_sent_at: float | None = None
    attempt_first_sent_at: float | None = None
    attempt_count: int = 0
    attempt_fingerprint: str | None = Field(default=None, sa_type=LenientText)
    attempt_fence: int | None = Field(default=None, sa_type=BigInteger)

    last_error: str | None = Field(default=None, sa_type=ForeignText)
    failing_since: float | None = None
    failures: int = 0
    retry_at: float | None = None

    due_at: float | None = None  # when the refresher takes it up; see `store.due`


class AccountChangeRow(SQLModel, table=True):
    """That an account has changed; SQLite's triggers write it (see `store.data_version`)."""

    __tablename__ = "account_change"

    number: int | None = Field(default=None, primary_key=True)
    account: str


class LateTokenRow(SQLModel, table=True):
    """A refresh token that came too late; see `store.late_tokens`."""

    __tablename__ = "late_token"

    account_id: str = Field(primary_key=True, foreign_key="account.id", ondelete="CASCADE")
    generation: int = Field(sa_type=BigInteger)  # that the account has while this is of use
    sent_at: float
    refresh_token_sealed: bytes = Field(sa_type=SealedBytes)


class ConsentRow(SQLModel, table=True):
    """A consent under way, found by the hash of its state; see `consent`."""

    __tablename__ = "consent"

    id: str = Field(primary_key=True)
    state_hash: str = Field(unique=True)
    account: str
    provider: str
    request_sealed: bytes = Field(sa_type=SealedBytes)
    created_at: float
    expires_at: float
    consumed_at: float | None = None
    browser_hash: str | None = None  # of the cookie of the browser that came by a connect link
    outcome: str | None = None  # "connected", or the kebab-case name of the error
    message: str | None = Field(default=None, sa_type=ForeignText)  # of that error, for people


class ConnectLinkRow(SQLModel, table=True):
    """A link that leads a person to consent; see `store.connect_links`."""

    __tablename__ = "connect_link"

    id: str = Field(primary_key=True)
    ticket_hash: str = Field(unique=True)
    account: str
    provider: str
    created_at: float
    expires_at: float = Field(index=True)
    code_hash: str | None = None
    tries: int = 0
    new_account: str | None = None  # the identifier of a pending account that was made with it
    browser_hash: str | None = Field(default=None, unique=True)
    used_at: float | None = None


class RevocationRow(SQLModel, table=True):
    """Tokens that a provider has not confirmed as revoked yet; never served."""

    __tablename__ = "revocation"

    id: str = Field(primary_key=True)
    account: str
    provider: str
    subject: str | None = Field(default=None, sa_type=ForeignText)
    tokens_sealed: bytes = Field(sa_type=SealedBytes)
    created_at: float
    retry_at: float = Field(index=True)
    attempts: int = 0
    last_error: str | None = Field(default=None, sa_type=ForeignText)


class ApiKeyRow(SQLModel, table=True):
    """A key of the daemon's API; see `api_key`."""

    __tablename__ = "api_key"

    id: str = Field(primary_key=True)
    name: str = Field(unique=True)
    digest: bytes
    accounts: str  # globs, joined by spaces
    scopes: str  # likewise
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None


class DashboardSessionRow(SQLModel, table=True):
    """A person who is signed in to the dashboard; see `store.dashboard_sessions`."""

    __tablename__ = "dashboard_session"

    id_hash: str = Field(primary_key=True)
    actor: str  # the user of this host, as a number
    created_at: float
    used_at: float


class DashboardCodeRow(SQLModel, table=True):
    """A one-time code that signs a person in; see `store.dashboard_codes`."""

    __tablename__ = "dashboard_code"

    number: str = Field(primary_key=True)  # the code's first group, by which it is found
    code_hash: str
    actor: str
    expires_at: float
    attempts: int = 0


class MetadataRow(SQLModel, table=True):
    """Discovered metadata of an authorization server, pinned."""

    __tablename__ = "authorization_server_metadata"

    provider: str = Field(primary_key=True)
    issuer: str
    document: str
    pinned_at: float


class HaltRow(SQLModel, table=True):
    """A provider whose token endpoint is left alone for a while; see `halts.Halt`."""

    __tablename__ = "provider_halt"

    provider: str = Field(primary_key=True)
    halted_until: float
    since: float
    message: str = Field(sa_type=ForeignText)
    rejected: str | None = Field(default=None, sa_type=ForeignText)


class AuditRow(SQLModel, table=True):
    """Something that happened, tied to the row before it; see `store.audit_chain`."""

    __tablename__ = "audit"
    __table_args__ = (
        Index("ix_audit_of_account", "account", "number"),
        Index("ix_audit_of_event", "event", "number"),
    )

    number: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    at: float
    event: str
    account: str | None = None  # its name at that time
    account_id: str | None = None
    actor: str
    through: str | None = None
    outcome: str | None = None
    fingerprint: str | None = None
    times: int = Field(sa_type=BigInteger)
    detail: str  # a JSON object
    chain: bytes = Field(sa_type=SealedBytes)


class AuditAnchorRow(SQLModel, table=True):
    """The last row of the audit trail that was removed as too old; see `store.audit`."""

    __tablename__ = "audit_anchor"

    id: int = Field(primary_key=True)  # always 1
    number: int = Field(sa_type=BigInteger)
    chain: bytes = Field(sa_type=SealedBytes)
    proof: bytes = Field(sa_type=SealedBytes)


#: For the statements of the hot path: built without the object mapper's detour.
ACCOUNT: Final[Table] = SQLModel.metadata.tables["account"]
AUDIT: Final[Table] = SQLModel.metadata.tables["audit"]
AUDIT_ANCHOR: Final[Table] = SQLModel.metadata.tables["audit_anchor"]
