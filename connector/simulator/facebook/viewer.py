"""Who makes a Graph call: the access token, and the proof that the app's server holds it.

appsecret_proof is the hex HMAC-SHA256 of the access token in use under the app's secret; a wrong
one is refused even where none is required.
"""

import hashlib
import hmac
from dataclasses import dataclass, replace

from connector.simulator.call import Call, Subject
from connector.simulator.facebook.error import (
    GraphError,
    data_access_over,
    no_token,
    unreadable_token,
)
from connector.simulator.facebook.graph_parameters import read_parameters
from connector.simulator.facebook.provider import AppConnection, Provider
from connector.simulator.facebook.tokens import GraphToken
from connector.simulator.parameters import Parameters
from connector.simulator.people import Profile

# Bearer is the RFC's word; OAuth is what older clients send.
SCHEMES = frozenset({"bearer", "oauth"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """The token of a call, alive and proved, and what the call asks."""

    token: GraphToken
    parameters: Parameters
    subject: Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonViewer:
    """A viewer with a person behind it."""

    viewer: Viewer
    person: Profile
    connection: AppConnection

    @property
    def subject(self) -> Subject:
        """What the ledger says of the call."""
        return self.viewer.subject

    def of(self, ad_account: str) -> "PersonViewer":
        """The viewer of an ad account."""
        subject = replace(self.viewer.subject, ad_account=ad_account)
        return replace(self, viewer=replace(self.viewer, subject=subject))


def identify(call: Call, provider: Provider) -> Viewer:
    """The viewer of a call.

    Raises:
        GraphError: no token, a dead one, or a missing or wrong appsecret_proof.
    """
    parameters = read_parameters(call)
    value = parameters.get("access_token") or _token_in_header(call)
    if value is None:
        raise no_token()
    token = provider.find(value)
    if token is None:
        raise unreadable_token()
    provider.count_call(token)
    death = provider.death_of(token)
    if death is not None:
        raise death
    subject = Subject(person=token.person.name if token.person else None, family=token.family)
    _check_proof(parameters.get("appsecret_proof"), value, provider, subject)
    return Viewer(token=token, parameters=parameters, subject=subject)


def preview_viewer(call: Call, provider: Provider) -> Subject:
    """Whom a call is about, told before anything is checked.

    The family is left out: it is for token requests, which are counted while in flight.
    """
    try:
        value = read_parameters(call).get("access_token") or _token_in_header(call)
    except GraphError:
        return Subject()
    token = provider.find(value or "")
    return Subject(person=token.person.name if token and token.person else None)


def identify_person(call: Call, provider: Provider) -> PersonViewer:
    """The viewer of a call that needs a person.

    Raises:
        GraphError: as `identify`, or the token is the app's.
    """
    viewer = identify(call, provider)
    person = viewer.token.person
    if person is None:
        message = (  # assumed
            "An active access token must be used to query information about the current user."
        )
        raise GraphError(2500, message, subject=viewer.subject)
    return PersonViewer(viewer=viewer, person=person, connection=provider.connection(person))


def may_read_ads(viewer: PersonViewer, now: float) -> bool:
    """Whether a permission for ads data is granted.

    Raises:
        GraphError: it is, but the time of data access is over.
    """
    connection = viewer.connection
    is_granted = connection.has("ads_read") or connection.has("ads_management")
    is_system = viewer.viewer.token.kind == "system"  # assumed: nobody has to come back for it
    if is_granted and not is_system and connection.data_access_expires_at <= now:
        raise data_access_over(viewer.subject)
    return is_granted


def proof_of(access_token: str, app_secret: str) -> str:
    """The appsecret_proof for an access token."""
    return hmac.new(
        app_secret.encode(), access_token.encode("utf-8", "surrogatepass"), hashlib.sha256
    ).hexdigest()


def _token_in_header(call: Call) -> str | None:
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() in SCHEMES else None


def _check_proof(proof: str | None, value: str, provider: Provider, subject: Subject) -> None:
    settings = provider.state.settings
    kind = "GraphMethodException"  # assumed, as the messages
    if proof is None:
        if settings.require_appsecret_proof:
            message = "API calls from the server require an appsecret_proof argument"
            raise GraphError(100, message, kind=kind, subject=subject)
        return
    expected = proof_of(value, settings.app_secret)
    if not hmac.compare_digest(expected.encode(), proof.encode("utf-8", "surrogatepass")):
        message = "Invalid appsecret_proof provided in the API argument"
        raise GraphError(100, message, kind=kind, subject=subject)
