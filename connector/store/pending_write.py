"""A write of tokens that is sealed already and may be applied now, later, or by another process.

It is the conditional UPDATE of one account as a value: whose row, which generation is compared, and
the columns, ciphertext included. Applied twice it changes nothing the second time, so that whoever
finds one may try.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from connector.account import Account, Active, Grant, SealedTokens, Terms

_VERSION: Final = 2
#: Bound its ciphertext to nothing but its place.
_UNBOUND: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingWrite:
    """The tokens of a refresh, sealed for the generation under which they will stand.

    Attributes:
        account_id: of the row.
        generation: that the row must still have; the write raises it by one.
        bound_to: what the ciphertext is bound to besides (see `account_rows.binding`); the row has
            not been bound to anything else while it has this generation.
        terms: what is known of the tokens.
        sealed: their ciphertext.
        due_at: when the grant is to be used at the latest.
        is_rotated: the refresh token came with the answer; else it is the one that was sent.
    """

    account_id: str
    generation: int
    bound_to: str
    terms: Terms
    sealed: SealedTokens = field(repr=False)
    due_at: float | None = None
    is_rotated: bool = False

    def applied_to(self, account: Account) -> Account:
        """Give the account as it is once this is written."""
        assert account.grant is not None  # noqa: S101 - only a grant is renewed
        grant: Grant = replace(account.grant, terms=self.terms, sealed=self.sealed)
        return replace(
            account,
            state=Active(grant=grant),
            generation=self.generation + 1,
            attempt=None,
            lease=None,
            trouble=None,
        )

    def dump(self) -> bytes:
        """Give it as bytes; every secret in them is ciphertext."""
        terms = {name: getattr(self.terms, name) for name in Terms.__dataclass_fields__}
        sealed = {
            name: None if value is None else base64.b64encode(value).decode()
            for name in SealedTokens.__dataclass_fields__
            for value in (getattr(self.sealed, name),)
        }
        return json.dumps(
            {
                "version": _VERSION,
                "account_id": self.account_id,
                "generation": self.generation,
                "bound_to": self.bound_to,
                "terms": terms,
                "sealed": sealed,
                "due_at": self.due_at,
                "is_rotated": self.is_rotated,
            }
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> "PendingWrite":
        """Read what `dump` gave.

        Raises:
            ValueError: a newer version of this program wrote it, or it is something else.
        """
        try:
            found: Mapping[str, Any] = json.loads(data)
            if found["version"] not in {_UNBOUND, _VERSION}:
                raise ValueError(f"version {found['version']} is not known")
            terms = dict(found["terms"])
            scope = terms.pop("scope")
            if not isinstance(scope, list | None):
                raise ValueError("no write of tokens: the scope is no list")
            sealed: dict[str, Any] = {
                name: None if value is None else base64.b64decode(value, validate=True)
                for name, value in found["sealed"].items()
            }
            write = cls(
                account_id=found["account_id"],
                generation=found["generation"],
                bound_to="" if found["version"] == _UNBOUND else found["bound_to"],
                terms=Terms(scope=None if scope is None else tuple(scope), **terms),
                sealed=SealedTokens(**sealed),
                due_at=found["due_at"],
                is_rotated=found.get("is_rotated") is True,  # earlier versions did not say
            )
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"no write of tokens: {error!r}") from None
        if not _is_writable(write):
            raise ValueError("no write of tokens: a value is of another kind")
        return write


def _is_writable(write: PendingWrite) -> bool:
    """Tell whether each value is of a kind that its column can hold: JSON can say any other."""
    terms = write.terms
    texts = (write.account_id, write.bound_to, terms.token_type, *(terms.scope or ()))
    times = (terms.minted_at, terms.consented_at)
    optional = (terms.expires_at, terms.lifetime, terms.consent_ends_at, write.due_at)
    return (
        all(isinstance(text, str) for text in texts)
        and all(_is_number(time) for time in times)
        and all(time is None or _is_number(time) for time in optional)
        and _is_integer(write.generation)
        and isinstance(write.sealed.access_token, bytes)
    )


def _is_number(value: object) -> bool:
    return isinstance(value, float) or _is_integer(value)


def _is_integer(value: object) -> bool:
    """Tell whether a value is an integer of a database: 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
