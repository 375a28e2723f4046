"""The people who can log in at the simulator, with stable ids.

The same person has one id at both servers, and two ad accounts (see ads_data).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A resource owner (RFC 6749 §1.1)."""

    name: str
    """What the login page's button submits, and what knobs and the ledger call the person."""
    id: str
    """The stable numeric id: `sub` of an ID token, `id` of the Graph user."""
    full_name: str
    email: str


PEOPLE: Mapping[str, Profile] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            Profile(
                name="ada",
                id="10200000000000101",
                full_name="Ada Lovelace",
                email="ada@people.example",
            ),
            Profile(
                name="grace",
                id="10200000000000202",
                full_name="Grace Hopper",
                email="grace@people.example",
            ),
        )
    }
)


class UnknownPersonError(ValueError):
    """A knob was turned for somebody who does not exist."""


def known_person(name: str) -> Profile:
    """The person who logs in under this name.

    Raises:
        UnknownPersonError: there is none.
    """
    if name not in PEOPLE:
        message = f"no person {name!r}; there are {', '.join(PEOPLE)}"
        raise UnknownPersonError(message)
    return PEOPLE[name]


def person_by_id(identity: str) -> Profile | None:
    """The person with this numeric id, if there is one."""
    return next((profile for profile in PEOPLE.values() if profile.id == identity), None)
