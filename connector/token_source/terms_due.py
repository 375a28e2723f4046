"""When a grant must be used, whether anybody wants its token or not, so that it does not die.

A refresh token that dies idle is used ahead of that; an access token that is exchanged for the next
one is exchanged at half its life, and then again and again for weeks (see `remembered`).
"""

from typing import Final

from connector.account import Terms
from connector.providers.provider import Provider

#: A fifth of the idle time is left for failures, and for a provider that counts otherwise.
IDLE_SHARE: Final = 0.8
EXCHANGE_SHARE: Final = 0.5


def keep_alive_at(provider: Provider, terms: Terms) -> float | None:
    """Give when a grant is to be used at the latest; None where it does not die idle.

    Args:
        provider: of the account.
        terms: of its tokens.
    """
    if provider.exchange is not None:
        return None if terms.lifetime is None else terms.minted_at + terms.lifetime * EXCHANGE_SHARE
    idle = provider.lifetimes.idle
    return None if idle is None else terms.minted_at + idle * IDLE_SHARE
