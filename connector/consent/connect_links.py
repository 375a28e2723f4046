"""Links that a colleague or a customer follows to grant access, and the code that confirms them.

A link is good for one account, for a time, and for the first browser that goes on with it; that one
may go back and begin again until a consent succeeds. Where whoever made it wants to be sure who
follows it, the person must enter a code that they were told another way (CHECKLIST 6): whoever has
the link alone can do nothing with it.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from connector.account_name import check_account_name
from connector.consent.consents import Consents
from connector.consent.values import StartedConsent
from connector.errors import Refused
from connector.providers.client import ProviderDirectory
from connector.store.connect_links import ConnectLink, ConnectLinkStore

#: How long a link leads somewhere if nobody says otherwise (seconds).
DEFAULT_LIFETIME: Final = 3600.0
SHORTEST_LIFETIME: Final = 60.0
#: A link that lies in a mailbox for weeks is found by somebody else.
LONGEST_LIFETIME: Final = 7 * 86_400.0
#: Of 32^8 codes so many may be tried; then the link leads nowhere.
MOST_TRIES: Final = 5
#: No letter or digit that is taken for another (Crockford's base 32).
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LIKENESS: Final = str.maketrans("OIL", "011", " -")
_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLink:
    """A new link.

    Attributes:
        id: of its row.
        ticket: what stands in its address; shown once.
        code: what the person must enter, if they must; shown once.
        expires_at: seconds since the epoch.
    """

    id: str
    ticket: str
    code: str | None
    expires_at: float

    def __repr__(self) -> str:
        """Show no secret."""
        return f"MadeLink(id={self.id!r})"


class ConnectLinks:
    """Makes links, and begins consents for who follows them.

    Args:
        consents: begins them.
        directory: gives the provider's client.
        store: where links are.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        consents: Consents,
        directory: ProviderDirectory,
        store: ConnectLinkStore,
        *,
        now: Callable[[], float],
    ) -> None:
        self._consents = consents
        self._directory = directory
        self._store = store
        self._now = now

    async def make(
        self,
        provider: str,
        account: str,
        *,
        lifetime: float = DEFAULT_LIFETIME,
        with_code: bool = False,
    ) -> MadeLink:
        """Make a link; a new account becomes pending.

        Args:
            provider: its name in the configuration.
            account: the account's name.
            lifetime: seconds, from `SHORTEST_LIFETIME` to `LONGEST_LIFETIME`.
            with_code: whoever follows it must enter a code.

        Raises:
            ValueError: the lifetime is out of these bounds.
            ConfigurationError, TemporarilyUnavailable: a consent could not begin, as
                `Consents.begin`.
            ConsentNotGiven: the account has tokens of another provider.
            Refused: the account's name breaks the grammar.
        """
        if not SHORTEST_LIFETIME <= lifetime <= LONGEST_LIFETIME:
            raise ValueError(f"from {SHORTEST_LIFETIME:.0f} to {LONGEST_LIFETIME:.0f} seconds")
        try:
            check_account_name(account)
        except ValueError as error:
            raise Refused(str(error)) from None
        await self._directory.get_for_consent(provider)
        await self.sweep()
        new_account = await self._consents.new_accounts.begin(account, provider)
        ticket = secrets.token_urlsafe(_BYTES)
        code = "".join(secrets.choice(_ALPHABET) for _ in range(8)) if with_code else None
        now = self._now()
        link = ConnectLink(
            id=secrets.token_hex(16),
            ticket_hash=_hash(ticket),
            account=account,
            provider=provider,
            created_at=now,
            expires_at=now + lifetime,
            code_hash=None if code is None else _hash(f"{ticket} {code}"),
            new_account=new_account,
        )
        await self._store.add(link)
        self._consents.notes.linked(link)
        shown = None if code is None else f"{code[:4]}-{code[4:]}"
        return MadeLink(id=link.id, ticket=ticket, code=shown, expires_at=link.expires_at)

    async def find(self, ticket: str) -> ConnectLink | None:
        """Give the link of a ticket, unless it leads nowhere any more."""
        link = await self._store.find(_hash(ticket), now=self._now())
        return None if link is None or _is_void(link) else link

    async def is_confirmed(self, link: ConnectLink, ticket: str, code: str) -> bool:
        """Tell whether a person's code is the link's; each that is asked about counts.

        Args:
            link: whose.
            ticket: as it stands in the address.
            code: as the person wrote it: case, spaces, and letters that look alike do not matter.
        """
        if link.code_hash is None:
            return True
        if not await self._store.count_try(link, most=MOST_TRIES):
            return False
        written = _hash(f"{ticket} {code.upper().translate(_LIKENESS)}")
        if hmac.compare_digest(written, link.code_hash):
            return True
        self._consents.notes.code_rejected(link)
        return False

    async def begin(
        self, link: ConnectLink, browser_hash: str, redirect_uri: str | None
    ) -> StartedConsent | None:
        """Bind a link to a browser and begin a consent for it; None where another browser has it.

        Raises:
            ConnectorError: as `Consents.begin`.
        """
        if not await self._store.bind(link, browser_hash, now=self._now()):
            return None
        return await self._consents.begin(
            link.provider, link.account, redirect_uri=redirect_uri, browser_hash=browser_hash
        )

    async def use_up(self, browser_hash: str | None) -> None:
        """Use up the link by which a browser came whose consent has succeeded."""
        if browser_hash is not None:
            await self._store.use_up(browser_hash, now=self._now())

    async def open(self) -> list[ConnectLink]:
        """Give the links that lead somewhere, the newest first."""
        links = await self._store.open(now=self._now())
        return [link for link in links if not _is_void(link)]

    async def sweep(self) -> None:
        """Remove links that have expired, and the accounts that are pending for them alone."""
        for link in await self._store.take_expired(now=self._now()):
            await self._consents.new_accounts.take_back(link.new_account)


def _is_void(link: ConnectLink) -> bool:
    """Tell whether nobody can go on with a link any more, for all codes were tried in vain."""
    return link.tries >= MOST_TRIES and link.browser_hash is None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
