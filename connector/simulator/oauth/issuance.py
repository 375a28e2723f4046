"""Token answers (RFC 6749 §5.1), and every way in which real servers bend them."""

from connector.simulator.call import NO_STORE, Reply, Subject, json_response
from connector.simulator.oauth.authorization_request import granted, read_scope
from connector.simulator.oauth.grants import AccessToken, Grant, RefreshToken
from connector.simulator.oauth.signing import access_token_hash
from connector.simulator.opaque import new_token
from connector.simulator.people import Profile, known_person
from connector.simulator.settings import Settings
from connector.simulator.state import State

# A number of seconds that overflows what a careless client adds it to.
HUGE_EXPIRES_IN = 10**12

# Clients are told to be quick with an ID token; an hour is what most servers give.
ID_TOKEN_LIFETIME = 3600


class Issuance:
    """Makes access tokens and the answers that carry them."""

    def __init__(self, state: State) -> None:
        self._state = state

    def begin(
        self,
        *,
        client_id: str,
        scope: tuple[str, ...],
        person: Profile | None,
        auth_time: float,
        nonce: str | None = None,
    ) -> Grant:
        """A new family."""
        return self._state.grants.add(
            Grant(
                family=new_token("family_")[:16],
                client_id=client_id,
                person=person,
                scope=scope,
                created_at=self._state.clock.now(),
                auth_time=auth_time,
                nonce=nonce,
            )
        )

    def first_answer(self, grant: Grant) -> dict[str, object]:
        """The answer to a new consent, with a refresh token where there is to be one."""
        settings, now = self._state.settings, self._state.clock.now()
        refresh_token = None
        is_offline = "offline_access" in grant.scope or not settings.offline_access_required
        if is_offline and "refresh_token" not in settings.omit:
            refresh_token = self._state.grants.issue_refresh_token(
                grant, settings, parent=None, now=now
            )
        return self.answer(grant, grant.scope, refresh_token, is_first=True)

    def first_reply(self, grant: Grant) -> Reply:
        """The same, as it is sent."""
        subject = Subject(
            client_id=grant.client_id,
            person=grant.person.name if grant.person else None,
            family=grant.family,
        )
        return token_reply(self.first_answer(grant), "issued", subject)

    def grant(self, person: str, *, scope: str | None = None) -> dict[str, object]:
        """A consent to the confidential client without its pages, for tests with thousands.

        Raises:
            UnknownPersonError: no such person.
            AuthorizationRequestError: invalid_scope.
        """
        profile = known_person(person)
        with self._state.lock:
            settings = self._state.settings
            grant = self.begin(
                client_id=settings.client_id,
                scope=granted(read_scope(scope, settings), settings),
                person=profile,
                auth_time=self._state.clock.now(),
            )
            return self.first_answer(grant)

    def answer(
        self,
        grant: Grant,
        scope: tuple[str, ...],
        refresh_token: RefreshToken | None,
        *,
        is_first: bool,
    ) -> dict[str, object]:
        """A new access token, and the members of the answer that carries it."""
        settings, now = self._state.settings, self._state.clock.now()
        access_token = self._state.grants.issue_access_token(grant, scope, settings, now=now)
        body: dict[str, object] = {
            "access_token": access_token.value,
            "token_type": settings.token_type,
            "expires_in": _expires_in(settings),
        }
        if scope:
            body["scope"] = " ".join(scope)
        if refresh_token is not None:
            body["refresh_token"] = refresh_token.value
            if settings.announce_refresh_token_lifetime and refresh_token.expires_at is not None:
                body["refresh_token_expires_in"] = int(refresh_token.expires_at - now)
        if "openid" in scope and grant.person is not None:
            body["id_token"] = self._id_token(grant, access_token, now, is_first=is_first)
        body.update(settings.token_response_extra)
        return {name: value for name, value in body.items() if name not in settings.omit}

    def _id_token(
        self, grant: Grant, access_token: AccessToken, now: float, *, is_first: bool
    ) -> str:
        settings = self._state.settings
        claims: dict[str, object] = {
            "iss": self._state.issuer,
            "sub": grant.person.id if grant.person else "",
            "aud": grant.client_id,
            "iat": int(now),
            "exp": int(now) + ID_TOKEN_LIFETIME,
            "auth_time": int(grant.auth_time),
            "at_hash": access_token_hash(access_token.value),
        }
        # After a refresh it should not be there (OpenID Connect Core §12.2).
        if is_first and grant.nonce is not None:
            claims["nonce"] = grant.nonce
        claims.update(settings.id_token_claims)
        wanted = {name: value for name, value in claims.items() if value is not None}
        return self._state.keys.sign(wanted, settings.id_token_signature)


def token_reply(body: dict[str, object], outcome: str, subject: Subject) -> Reply:
    """A token answer, never to be cached (RFC 6749 §5.1)."""
    response = json_response(body, headers=NO_STORE)
    return Reply(response=response, outcome=outcome, subject=subject)


def _expires_in(settings: Settings) -> object:
    # Rounded down: a token is never announced to live longer than it does.
    seconds = int(settings.access_token_lifetime)
    forms: dict[str, object] = {
        "number": seconds,
        "string": str(seconds),
        "float": float(seconds),
        "zero": 0,
        "negative": -max(seconds, 1),
        "huge": HUGE_EXPIRES_IN,
    }
    return forms[settings.expires_in_form]
