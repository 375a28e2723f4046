"""One-time codes that sign a person in to the dashboard (CHECKLIST 154).

    XXXX-XXXX-XXXX

The first group finds the code and is no secret; the others are 40 random bits, of which the SHA-256
is kept: whoever reads the database has five minutes for it. A code signs in once, and is void after
five wrong attempts at it, so that nobody who does not know its first group can void it for others.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlmodel import col

from connector.secret import Secret
from connector.store.database import Database
from connector.store.tables import DashboardCodeRow

#: How long a code is good for (seconds): long enough to change to the browser.
CODE_LIFETIME: Final = 300.0
#: Wrong attempts after which a code is void: a slip of the finger or two, not a search.
MOST_ATTEMPTS: Final = 5
#: Neither I, L, O nor U: read aloud or off a screen, each is one letter (Crockford's base 32).
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP: Final = 4
_LOOKALIKES: Final = str.maketrans("ILO", "110")
_TEXT: Final = re.compile(f"[{ALPHABET}]{{{3 * _GROUP}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedCode:
    """What came of a code that somebody typed.

    Attributes:
        actor: whom it signs in, a user of this host; None: nobody.
        reason: why nobody, in a word: ``no_code``, ``wrong_code``, ``void_code``.
    """

    actor: str | None = None
    reason: str = ""


class DashboardCodes:
    """Makes codes and takes them, once each.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def make(self, actor: str, *, now: float) -> Secret:
        """Make a code.

        Args:
            actor: whom it signs in: a user of this host.
            now: seconds since the epoch.

        Raises:
            TemporarilyUnavailable: the database cannot be had (so for every method here).
        """
        letters = "".join(secrets.choice(ALPHABET) for _ in range(3 * _GROUP))
        row = {
            "number": letters[:_GROUP],
            "code_hash": _digest(letters),
            "actor": actor,
            "expires_at": now + CODE_LIFETIME,
            "attempts": 0,
        }
        codes = col(DashboardCodeRow.number), col(DashboardCodeRow.expires_at)
        async with self._database.write() as connection:
            # what is over, and the one in a million whose first group is the same
            stale = delete(DashboardCodeRow).where((codes[0] == row["number"]) | (codes[1] <= now))
            await connection.execute(stale)
            await connection.execute(insert(DashboardCodeRow).values(row))
        return Secret("-".join(letters[at : at + _GROUP] for at in range(0, 3 * _GROUP, _GROUP)))

    async def take(self, text: str, *, now: float) -> TriedCode:
        """Take a code that somebody typed; it is used up if it is right.

        Args:
            text: as typed; small letters, spaces and hyphens do not matter.
            now: seconds since the epoch.
        """
        letters = re.sub(r"[\s-]", "", text[:64]).upper().translate(_LOOKALIKES)
        if _TEXT.fullmatch(letters) is None:
            return TriedCode(reason="no_code")
        number, is_this = letters[:_GROUP], col(DashboardCodeRow.number) == letters[:_GROUP]
        async with self._database.read() as connection:
            query = select(col(DashboardCodeRow.number)).where(is_this)
            if (await connection.execute(query)).one_or_none() is None:
                return TriedCode(reason="wrong_code")
        async with self._database.write() as connection:
            # counted before it is compared: of two attempts at once the second sees the first
            counted = (
                update(DashboardCodeRow)
                .where(is_this, col(DashboardCodeRow.expires_at) > now)
                .where(col(DashboardCodeRow.attempts) < MOST_ATTEMPTS)
                .values(attempts=col(DashboardCodeRow.attempts) + 1)
            )
            if (await connection.execute(counted)).rowcount != 1:
                return TriedCode(reason="void_code")
            columns = col(DashboardCodeRow.code_hash), col(DashboardCodeRow.actor)
            kept = (await connection.execute(select(*columns).where(is_this))).one()
            if not hmac.compare_digest(str(kept.code_hash), _digest(letters)):
                return TriedCode(reason="wrong_code")
            await connection.execute(
                delete(DashboardCodeRow).where(col(DashboardCodeRow.number) == number)
            )
        return TriedCode(actor=str(kept.actor))


def _digest(letters: str) -> str:
    return hashlib.sha256(letters.encode()).hexdigest()
