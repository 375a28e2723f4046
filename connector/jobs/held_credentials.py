"""Credentials in a run's process, each held for a second.

A quick API is asked for hundreds of pages in that time, and each question to the process that holds
the store costs as much as a page. One whose token an API has rejected is never given again, nor one
that has expired.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from connector.credential import Credential, CredentialSource
from connector.oauth.token import AccessToken

#: A credential that was confirmed so long ago is asked for again (seconds): a token that was
#: revoked is not used for longer.
LONGEST_HELD: Final = 1.0


class HeldCredentials:
    """Credentials by account; implements `credential.CredentialSource`.

    Args:
        source: where they come from.
        clock: gives seconds that only grow.
    """

    def __init__(
        self, source: CredentialSource, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._clock = clock
        self._held: dict[str, tuple[Credential, float]] = {}

    async def credential(self, account: str, rejected: AccessToken | None) -> Credential:
        """Give the credential of an account; see `credential.CredentialSource`."""
        held = self._present(account, rejected)
        if held is None:
            asked_at = self._clock()
            held = await self._source.credential(account, rejected)
            self._held[account] = held, asked_at + LONGEST_HELD
        return held

    def credential_now(self, account: str, rejected: AccessToken | None) -> Credential:
        """Do as `credential`, in a thread that may wait."""
        held = self._present(account, rejected)
        if held is None:
            asked_at = self._clock()
            held = self._source.credential_now(account, rejected)
            self._held[account] = held, asked_at + LONGEST_HELD
        return held

    def _present(self, account: str, rejected: AccessToken | None) -> Credential | None:
        """Give what is held and still good; with a rejected one what is held is given up."""
        held, until = self._held.get(account, (None, 0.0))
        if held is None:
            return None
        if rejected is None and self._clock() < until and not _is_expired(held.token):
            return held
        self._held.pop(account, None)
        return None


def _is_expired(token: AccessToken) -> bool:
    return token.expires_at is not None and token.expires_at <= datetime.now(UTC)
