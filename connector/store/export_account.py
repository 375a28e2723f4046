"""An account as an export has it: all that is needed to go on, in clear.

What this installation alone knows is left out: who holds the lease, and which key sealed what. The
digest of the refresh token that was sent last is of this vault's key, so that an export says which
of the account's tokens it was: without that a lost answer would be forgotten (CHECKLIST 51).
"""

from dataclasses import dataclass, field
from typing import Final

from connector.account import Attempt, Terms, Trouble
from connector.secret import Secret
from connector.store.export_fields import MOST, Fields

#: Which of its tokens an account has sent; "another": none that it still has.
SENT: Final = ("refresh_token", "late_token", "access_token", "another")
_STATES: Final = ("pending", "active", "consent_required")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTokens:
    """The tokens of an account, in clear.

    Attributes:
        access_token, refresh_token: as the provider gave them.
        extra: further fields of its answer, as JSON.
        late_token: a refresh token that came too late (see `store.late_tokens`).
        late_sent_at: when it was asked for.
    """

    access_token: Secret
    refresh_token: Secret | None = None
    extra: Secret | None = None
    late_token: Secret | None = None
    late_sent_at: float = 0.0

    def sent(self, which: str) -> Secret | None:
        """Give the token that `SENT` names, or None."""
        named = {
            "refresh_token": self.refresh_token,
            "late_token": self.late_token,
            "access_token": self.access_token,
        }
        return named.get(which)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedAccount:
    """One account; the attributes are the columns of its row.

    Attributes:
        sent: which token the attempt sent, see `SENT`.
    """

    id: str
    name: str
    provider: str
    state: str
    reason: str | None
    state_since: float
    generation: int
    created_at: float
    due_at: float | None
    fingerprint: str | None
    subject: str | None
    subject_name: str | None
    terms: Terms | None
    tokens: ExportedTokens | None = field(repr=False)
    attempt: Attempt | None
    sent: str
    trouble: Trouble | None

    def record(self) -> dict[str, object]:
        """Give it as a line of an export."""
        return {
            "id": self.id,
            "name": self.name,
            "provider": self.provider,
            "state": self.state,
            "reason": self.reason,
            "state_since": self.state_since,
            "generation": self.generation,
            "created_at": self.created_at,
            "due_at": self.due_at,
            "fingerprint": self.fingerprint,
            "subject": self.subject,
            "subject_name": self.subject_name,
            "terms": None if self.terms is None else _terms_record(self.terms),
            "tokens": None if self.tokens is None else _tokens_record(self.tokens),
            "attempt": None
            if self.attempt is None
            else {
                "sent_at": self.attempt.sent_at,
                "first_sent_at": self.attempt.first_sent_at,
                "count": self.attempt.count,
                "sent": self.sent,
            },
            "trouble": None
            if self.trouble is None
            else {name: getattr(self.trouble, name) for name in Trouble.__slots__},
        }


def read_exported(fields: Fields) -> ExportedAccount:
    """Read an account; what is wrong is noted in its fields' problems."""
    attempt, sent = _read_attempt(fields.table("attempt"))
    account = ExportedAccount(
        id=fields.identifier("id"),
        name=fields.account_name("name"),
        provider=fields.text("provider"),
        state=fields.choice("state", *_STATES),
        reason=fields.foreign_text("reason"),
        state_since=fields.number("state_since"),
        generation=fields.count("generation", MOST),
        created_at=fields.number("created_at"),
        due_at=fields.optional_number("due_at"),
        fingerprint=fields.optional_text("fingerprint"),
        subject=fields.foreign_text("subject"),
        subject_name=fields.foreign_text("subject_name"),
        terms=_read_terms(fields.table("terms")),
        tokens=_read_tokens(fields.table("tokens")),
        attempt=attempt,
        sent=sent,
        trouble=_read_trouble(fields.table("trouble")),
    )
    is_complete = account.tokens is not None and None not in (account.terms, account.fingerprint)
    if account.state == "active" and not is_complete:
        fields.reject("state", "is active, and tokens, terms or fingerprint are missing")
    if account.tokens is not None and not is_complete:
        fields.reject("tokens", "are there, and terms or fingerprint are missing")
    if account.state == "pending" and account.tokens is not None:
        fields.reject("state", "is pending, and there are tokens")
    fields.finish()
    return account


def _terms_record(terms: Terms) -> dict[str, object]:
    record = {name: getattr(terms, name) for name in Terms.__slots__}
    return record | {"scope": None if terms.scope is None else list(terms.scope)}


def _tokens_record(tokens: ExportedTokens) -> dict[str, object]:
    late = tokens.late_token
    return {
        "access_token": tokens.access_token.reveal(),
        "refresh_token": tokens.refresh_token.reveal() if tokens.refresh_token else None,
        "extra": tokens.extra.reveal() if tokens.extra else None,
        "late_token": {"refresh_token": late.reveal(), "sent_at": tokens.late_sent_at}
        if late
        else None,
    }


def _read_terms(fields: Fields | None) -> Terms | None:
    if fields is None:
        return None
    terms = Terms(
        token_type=fields.foreign_text("token_type") or "",
        scope=fields.texts("scope"),
        minted_at=fields.number("minted_at"),
        expires_at=fields.optional_number("expires_at"),
        lifetime=fields.optional_number("lifetime"),
        consented_at=fields.number("consented_at"),
        consent_ends_at=fields.optional_number("consent_ends_at"),
    )
    fields.finish()
    return terms


def _read_tokens(fields: Fields | None) -> ExportedTokens | None:
    if fields is None:
        return None
    access_token, late = fields.secret("access_token"), fields.table("late_token")
    late_token, late_sent_at = None, 0.0
    if late is not None:
        late_token, late_sent_at = late.optional_secret("refresh_token"), late.number("sent_at")
        late.finish()
    tokens = ExportedTokens(
        access_token=Secret(access_token),
        refresh_token=fields.optional_secret("refresh_token"),
        extra=fields.optional_secret("extra"),
        late_token=late_token,
        late_sent_at=late_sent_at,
    )
    fields.finish()
    return tokens


def _read_attempt(fields: Fields | None) -> tuple[Attempt | None, str]:
    if fields is None:
        return None, ""
    attempt = Attempt(
        sent_at=fields.number("sent_at"),
        first_sent_at=fields.number("first_sent_at"),
        count=fields.count("count"),
        token_fingerprint="",
        fence=0,
    )
    sent = fields.choice("sent", *SENT)
    fields.finish()
    return attempt, sent


def _read_trouble(fields: Fields | None) -> Trouble | None:
    if fields is None:
        return None
    trouble = Trouble(
        message=fields.foreign_text("message") or "",
        since=fields.number("since"),
        failures=fields.count("failures"),
        retry_at=fields.number("retry_at"),
    )
    fields.finish()
    return trouble
