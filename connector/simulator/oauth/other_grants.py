"""The grants without a redirect: client credentials (RFC 6749 §4.4) and devices (RFC 8628 §3.4)."""

from connector.simulator.call import Reply, Subject
from connector.simulator.oauth.authorization_request import (
    AuthorizationRequestError,
    granted,
    read_scope,
)
from connector.simulator.oauth.client import RegisteredClient
from connector.simulator.oauth.codes import Device
from connector.simulator.oauth.error import OAuthError
from connector.simulator.oauth.issuance import Issuance, token_reply
from connector.simulator.parameters import Parameters
from connector.simulator.state import State

# RFC 8628 §3.5: what slow_down adds to the interval, for this and all later polls.
SLOW_DOWN_SECONDS = 5.0


class ClientCredentialsGrant:
    """Tokens for the client itself; no person, no refresh token."""

    def __init__(self, state: State, issuance: Issuance) -> None:
        self._state = state
        self._issuance = issuance

    def redeem(self, form: Parameters, client: RegisteredClient) -> Reply:
        """An access token for the client.

        Raises:
            OAuthError: unauthorized_client or invalid_scope.
        """
        if client.client_secret is None:
            raise OAuthError("unauthorized_client", "a public client has no credentials")
        try:
            scope = read_scope(form.get("scope"), self._state.settings)
        except AuthorizationRequestError as error:
            raise OAuthError(error.error, error.description) from None
        scope = granted(scope, self._state.settings)
        grant = self._issuance.begin(
            client_id=client.client_id,
            scope=scope,
            person=None,
            auth_time=self._state.clock.now(),
        )
        body = self._issuance.answer(grant, scope, None, is_first=True)
        subject = Subject(client_id=client.client_id, family=grant.family)
        return token_reply(body, "issued", subject)


class DeviceGrant:
    """Tokens for a device code, once a person has allowed it."""

    def __init__(self, state: State, issuance: Issuance) -> None:
        self._state = state
        self._issuance = issuance

    def redeem(self, form: Parameters, client: RegisteredClient) -> Reply:
        """Tokens for the device code, once.

        Raises:
            OAuthError: authorization_pending, slow_down, access_denied, expired_token or
                invalid_grant (RFC 8628 §3.5).
        """
        device_code = form.get("device_code")
        if device_code is None:
            raise OAuthError("invalid_request", "device_code is missing")
        device = self._state.devices.get(device_code)
        if device is None or device.client_id != client.client_id or device.is_redeemed:
            raise OAuthError("invalid_grant", "the device code is unknown, used or not yours")
        self._refuse_undecided(device)
        device.is_redeemed = True
        grant = self._issuance.begin(
            client_id=client.client_id,
            scope=device.scope,
            person=device.person,
            auth_time=device.auth_time,
        )
        return self._issuance.first_reply(grant)

    def _refuse_undecided(self, device: Device) -> None:
        now = self._state.clock.now()
        subject = Subject(client_id=device.client_id)
        if device.expires_at <= now:
            raise OAuthError("expired_token", "the device code is over", subject=subject)
        polled_at, device.polled_at = device.polled_at, now
        if polled_at is not None and now - polled_at < device.interval:
            device.interval += SLOW_DOWN_SECONDS
            raise OAuthError("slow_down", "leave a longer pause", subject=subject)
        if device.is_allowed is None:
            raise OAuthError("authorization_pending", "nobody decided yet", subject=subject)
        if not device.is_allowed:
            raise OAuthError("access_denied", "the person refused", subject=subject)
