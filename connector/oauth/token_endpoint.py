"""The token endpoint of one authorization server under one client registration (RFC 6749 §3.2).

`registration` authenticates us; `wire` sends; `token_response` decides what the answer means. Each
method sends one request at most and raises nothing for what the network or the server does: every
outcome is an `Answer` that the caller must branch on.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from connector.oauth.answer_fields import read_seconds
from connector.oauth.authorization_server import AuthorizationServer
from connector.oauth.registration import ClientRegistration
from connector.oauth.strict_json import parse_json_object
from connector.oauth.token_response import Answer, OutcomeUnknown, read_token_response
from connector.oauth.wire import Wire, WireAnswer
from connector.secret import Secret

FORM: Final = "application/x-www-form-urlencoded"

#: Parameters of a token request that a message may quote; all others count as secrets.
_NOT_SECRET: Final = frozenset({"client_id", "redirect_uri", "resource", "response_type", "scope"})
#: What is shorter is no secret, and would be found by chance in a server's message.
_SHORTEST_SECRET: Final = 8


class TokenEndpoint:
    """Sends token requests.

    Args:
        server: the authorization server.
        registration: our registration there.
        wire: what sends.
        now: gives seconds since the epoch.
    """

    def __init__(
        self,
        server: AuthorizationServer,
        registration: ClientRegistration,
        wire: Wire,
        *,
        now: Callable[[], float],
    ) -> None:
        self.server = server
        self.registration = registration
        self._wire = wire
        self._now = now

    async def exchange_code(
        self,
        *,
        code: Secret,
        redirect_uri: str,
        code_verifier: Secret | None,
        parameters: Mapping[str, str],
    ) -> Answer:
        """Exchange an authorization code (RFC 6749 §4.1.3, RFC 7636 §4.5).

        Args:
            code: as the authorization response gave it; used once.
            redirect_uri: byte-identical to the one in the authorization request.
            code_verifier: of PKCE, where a challenge was sent.
            parameters: further ones that this provider wants.
        """
        verifier = {"code_verifier": code_verifier.reveal()} if code_verifier else {}
        return await self.request(
            "authorization_code",
            {**parameters, "code": code.reveal(), "redirect_uri": redirect_uri, **verifier},
        )

    async def refresh(
        self,
        refresh_token: Secret,
        parameters: Mapping[str, str],
        *,
        may_send: Callable[[], bool] | None = None,
    ) -> Answer:
        """Ask for a new access token (RFC 6749 §6); ``scope`` is left out: as granted.

        Args:
            refresh_token: the present one.
            parameters: further ones that this provider wants.
            may_send: asked just before the first byte leaves.
        """
        return await self.request(
            "refresh_token",
            {**parameters, "refresh_token": refresh_token.reveal()},
            may_send=may_send,
        )

    async def exchange_access_token(
        self,
        access_token: Secret,
        *,
        grant_type: str,
        parameter: str,
        may_send: Callable[[], bool] | None = None,
    ) -> Answer:
        """Exchange an access token that is still valid for a new one (Facebook and its like).

        Args:
            access_token: the one in hand.
            grant_type: the provider's own, such as ``fb_exchange_token``.
            parameter: the name under which the token is sent.
            may_send: asked just before the first byte leaves.
        """
        return await self.request(grant_type, {parameter: access_token.reveal()}, may_send=may_send)

    async def request(
        self,
        grant_type: str,
        parameters: Mapping[str, str],
        *,
        may_send: Callable[[], bool] | None = None,
    ) -> Answer:
        """Send one token request and decide what its answer means.

        Args:
            grant_type: by RFC 6749 or the provider's own.
            parameters: of this grant; those that the provider always wants are added.
            may_send: asked just before the first byte leaves.
        """
        sent_at = self._now()
        method, url, headers, body = self._prepare(grant_type, parameters, sent_at)
        answer = await self._wire.send(method, url, headers, body, may_send=may_send)
        if not isinstance(answer, WireAnswer):
            return answer
        return read_token_response(
            answer.status,
            answer.headers,
            answer.body,
            shape=self.server.token_answer,
            sent_at=sent_at,
            sent=self._secrets(parameters),
        )

    async def push_authorization_request(
        self, parameters: Mapping[str, str]
    ) -> tuple[str, float] | Answer:
        """Push the parameters of an authorization request (RFC 9126 §2).

        Returns:
            ``request_uri`` and its lifetime in seconds, or what the server answered instead.
        """
        endpoint = self.server.pushed_authorization_request_endpoint or ""
        if self.registration.auth_method in {"client_secret_post", "none"}:
            # these methods send client_id themselves; a parameter must not occur twice
            parameters = {k: v for k, v in parameters.items() if k != "client_id"}
        url, headers, body = self.registration.authenticate(
            self.server, endpoint, {"Content-Type": FORM}, urlencode(parameters), now=self._now()
        )
        answer = await self._wire.send("POST", url, headers, body.encode())
        if not isinstance(answer, WireAnswer):
            return answer
        if answer.status in {200, 201}:
            try:
                pushed = parse_json_object(answer.body)
            except ValueError as error:
                return OutcomeUnknown(cause=f"the answer is unusable: {error}")
            request_uri, lifetime = (
                pushed.get("request_uri"),
                read_seconds(pushed.get("expires_in")),
            )
            if isinstance(request_uri, str) and request_uri:
                return request_uri, lifetime or 60.0
            return OutcomeUnknown(cause="the answer is unusable: no request_uri")
        return read_token_response(
            answer.status,
            answer.headers,
            answer.body,
            shape=self.server.token_answer,
            sent_at=self._now(),
            sent=self._secrets(parameters),
        )

    def _prepare(
        self, grant_type: str, parameters: Mapping[str, str], now: float
    ) -> tuple[str, str, dict[str, str], bytes | None]:
        """Build method, URL, headers and content of one token request."""
        style = self.server.token_request
        fields = {"grant_type": grant_type, **style.parameters, **parameters}
        fields["grant_type"] = grant_type
        headers = {"Content-Type": FORM, **style.headers}
        url, headers, body = self.registration.authenticate(
            self.server, self.server.token_endpoint, headers, urlencode(fields), now=now
        )
        pairs: list[tuple[str, str]] = []
        if style.renames or style.encoding == "json":
            # renamed last: client_id and client_secret have names of their own at some providers
            pairs = [
                (style.renames.get(name, name), value)
                for name, value in parse_qsl(body, keep_blank_values=True)
            ]
            body = urlencode(pairs)
        if style.encoding == "query":
            del headers["Content-Type"]
            return style.method, f"{url}{'&' if urlsplit(url).query else '?'}{body}", headers, None
        if style.encoding == "json":
            headers["Content-Type"] = "application/json"
            return style.method, url, headers, json.dumps(dict(pairs)).encode()
        return style.method, url, headers, body.encode()

    def _secrets(self, parameters: Mapping[str, str]) -> list[str]:
        """Give what must not come back in a message of the server."""
        secrets = [value for name, value in parameters.items() if name not in _NOT_SECRET]
        if self.registration.client_secret:
            secrets.append(self.registration.client_secret.reveal())
        return [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
