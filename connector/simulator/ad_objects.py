"""Campaigns, ad sets and ads: what an ad account holds, numbered so that an id tells its parents.

They follow from the settings and the seed alone; only a change made by a knob is remembered.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, cast, get_args

from connector.simulator.ad_accounts import AdAccount

Kind = Literal["campaign", "adset", "ad"]
Status = Literal["ACTIVE", "PAUSED", "ARCHIVED"]

# How many campaigns, ad sets in each, and ads in each of those.
Shape = tuple[int, int, int]

# Ids count in three digits at each level.
MOST_CHILDREN = 999

# All were made and last changed in the two years from here on, before any clock of a test.
FIRST_CREATED = datetime(2022, 1, 1, tzinfo=UTC).timestamp()
YEAR = 365 * 86400

# Those of some large ad accounts; making one takes some 10 µs.
OBJECTS_CACHED = 20_000

_ID = re.compile(r"([234])([12][0-9]{3})([0-9]{3})([0-9]{3})?([0-9]{3})?")
# How many numbers name an object of a kind.
DEPTHS: dict[Kind, int] = {"campaign": 1, "adset": 2, "ad": 3}
_DIGITS: dict[Kind, str] = {"campaign": "2", "adset": "3", "ad": "4"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ad:
    """An ad and what it belongs to."""

    campaign_id: str
    campaign_name: str
    adset_id: str
    adset_name: str
    ad_id: str
    ad_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdObject:
    """A campaign, an ad set or an ad."""

    kind: Kind
    account: AdAccount
    numbers: tuple[int, ...]
    """Of its campaign, its ad set and itself, as far as they go; each from 1."""
    created_time: float
    """Seconds since the epoch."""
    updated_time: float
    status: Status = "ACTIVE"

    @property
    def id(self) -> str:
        """Its own id."""
        return object_id(self.account, self.numbers)

    @property
    def name(self) -> str:
        """Its name."""
        return object_name(self.numbers)

    def parent_id(self, kind: Kind) -> str | None:
        """The id of the campaign or ad set that it is in, or is; None where it has none."""
        length = DEPTHS[kind]
        if length > len(self.numbers):
            return None
        return object_id(self.account, self.numbers[:length])


def object_id(account: AdAccount, numbers: tuple[int, ...]) -> str:
    """The id of the object with these numbers."""
    kind = get_args(Kind)[len(numbers) - 1]
    return f"{_DIGITS[kind]}{account.account_id}{''.join(f'{number:03}' for number in numbers)}"


def object_name(numbers: tuple[int, ...]) -> str:
    """The name of the object with these numbers."""
    word = ("Campaign", "Ad set", "Ad")[len(numbers) - 1]
    return f"{word} {'.'.join(map(str, numbers))}"


def numbers_in(identity: str, shape: Shape) -> tuple[int, tuple[int, ...]] | None:
    """The ad account's number and the object's own that an id tells; None: there is no such."""
    match = _ID.fullmatch(identity)
    if match is None:
        return None
    numbers = tuple(int(part) for part in match.groups()[2:] if part is not None)
    is_whole = match[1] == _DIGITS[get_args(Kind)[len(numbers) - 1]]
    if not is_whole or not all(
        1 <= number <= most for number, most in zip(numbers, shape, strict=False)
    ):
        return None
    return int(match[2]), numbers


@lru_cache(maxsize=OBJECTS_CACHED)
def object_at(account: AdAccount, numbers: tuple[int, ...], seed: int) -> AdObject:
    """The object with these numbers as it was made."""
    digest = hashlib.sha256(f"{seed}/{object_id(account, numbers)}".encode()).digest()
    created = FIRST_CREATED + int.from_bytes(digest[:4]) % YEAR
    return AdObject(
        kind=cast("Kind", get_args(Kind)[len(numbers) - 1]),
        account=account,
        numbers=numbers,
        created_time=created,
        updated_time=created + int.from_bytes(digest[4:8]) % YEAR,
    )


def numbers_under(
    kind: Kind, shape: Shape, above: tuple[int, ...] = ()
) -> Iterator[tuple[int, ...]]:
    """The numbers of all objects of a kind, in order; only those under (or at) `above`."""
    if len(above) > DEPTHS[kind]:
        return
    if len(above) == DEPTHS[kind]:
        yield above
        return
    for number in range(1, shape[len(above)] + 1):
        yield from numbers_under(kind, shape, (*above, number))


def ads_under(account: AdAccount, shape: Shape, above: tuple[int, ...] = ()) -> Iterator[Ad]:
    """The ads of an ad account, or of one object in it, with their parents."""
    for campaign, ad_set, ad in numbers_under("ad", shape, above):
        yield Ad(
            campaign_id=object_id(account, (campaign,)),
            campaign_name=object_name((campaign,)),
            adset_id=object_id(account, (campaign, ad_set)),
            adset_name=object_name((campaign, ad_set)),
            ad_id=object_id(account, (campaign, ad_set, ad)),
            ad_name=object_name((campaign, ad_set, ad)),
        )
