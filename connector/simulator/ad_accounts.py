"""The ad accounts: two for each person, and as many more as are asked for.

Zones have no summer time, so that no time zone database is needed; some are ahead of UTC.
"""

from dataclasses import dataclass
from functools import lru_cache

# A number says whose it is by its first digit, so three are left to count with.
MOST_AD_ACCOUNTS = 900

OWNERS = {"1": "ada", "2": "grace"}

ZONES = (
    ("America/Phoenix", -7),
    ("Africa/Lagos", 1),
    ("Asia/Tokyo", 9),
    ("Etc/UTC", 0),
    ("Pacific/Honolulu", -10),
    ("Australia/Brisbane", 10),
)
CURRENCIES = ("USD", "EUR", "GBP", "JPY")


@dataclass(frozen=True, slots=True, kw_only=True)
class AdAccount:
    """An ad account; its days are days in its own time zone."""

    id: str
    """With the prefix, as in paths: act_1001."""
    owner: str
    name: str
    currency: str
    timezone_name: str
    timezone_offset_hours: int

    @property
    def account_id(self) -> str:
        """The bare number."""
        return self.id.removeprefix("act_")


def _account(number: int, owner: str, name: str, currency: str, zone: tuple[str, int]) -> AdAccount:
    return AdAccount(
        id=f"act_{number}",
        owner=owner,
        name=name,
        currency=currency,
        timezone_name=zone[0],
        timezone_offset_hours=zone[1],
    )


AD_ACCOUNTS: tuple[AdAccount, ...] = (
    _account(1001, "ada", "Analytical Engines", "USD", ("America/Phoenix", -7)),
    _account(1002, "ada", "Countess Press", "EUR", ("Africa/Lagos", 1)),
    _account(2001, "grace", "Flow-Matic", "USD", ("Asia/Tokyo", 9)),
    _account(2002, "grace", "Harbour Compilers", "GBP", ("Etc/UTC", 0)),
)


@lru_cache(maxsize=2 * MOST_AD_ACCOUNTS)
def ad_account(number: int) -> AdAccount:
    """The ad account with this number, 1001 to 2999."""
    known = next((each for each in AD_ACCOUNTS if each.id == f"act_{number}"), None)
    if known is not None:
        return known
    owner = OWNERS[str(number)[0]]
    name = f"Ad account {number}"
    currency = CURRENCIES[number % len(CURRENCIES)]
    return _account(number, owner, name, currency, ZONES[number % len(ZONES)])


def ad_accounts_of(person: str, count: int) -> tuple[AdAccount, ...]:
    """The first `count` ad accounts of a person; of a stranger, none."""
    first = {owner: int(digit) * 1000 + 1 for digit, owner in OWNERS.items()}.get(person)
    if first is None:
        return ()
    return tuple(ad_account(number) for number in range(first, first + count))
