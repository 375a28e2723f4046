"""The device authorization grant's first half (RFC 8628 §3.1 to §3.3): the codes and their page."""

from connector.simulator.call import NO_STORE, Call, Reply, Subject, json_response
from connector.simulator.oauth.authorization_request import (
    AuthorizationRequestError,
    granted,
    read_scope,
)
from connector.simulator.oauth.authorization_response import with_query
from connector.simulator.oauth.authorize import read_form
from connector.simulator.oauth.client import authenticate
from connector.simulator.oauth.codes import Device
from connector.simulator.oauth.consent import ConsentPages
from connector.simulator.oauth.error import OAuthError
from connector.simulator.opaque import new_token, new_user_code
from connector.simulator.pages import Pages
from connector.simulator.parameters import MalformedParametersError
from connector.simulator.state import State

VERIFICATION_PATH = "/oauth/device"


class DeviceEndpoints:
    """Where a device asks for codes, and where a person types one in."""

    def __init__(self, state: State, pages: Pages, consent: ConsentPages) -> None:
        self._state = state
        self._pages = pages
        self._consent = consent

    def authorize_device(self, call: Call) -> Reply:
        """A device code and a user code (RFC 8628 §3.2).

        Raises:
            OAuthError: the client is not authenticated, or the scope is not one.
        """
        settings, now = self._state.settings, self._state.clock.now()
        form = read_form(call)
        client = authenticate(call, form, settings)
        try:
            scope = read_scope(form.get("scope"), settings)
        except AuthorizationRequestError as error:
            raise OAuthError(error.error, error.description) from None
        device_code = new_token("device_")
        device = Device(
            user_code=new_user_code(),
            client_id=client.client_id,
            scope=granted(scope, settings),
            interval=settings.device_interval,
            expires_at=now + settings.device_code_lifetime,
        )
        self._state.devices.add(device_code, device, now=now)
        uri = f"{self._state.origin}{VERIFICATION_PATH}"
        body = {
            "device_code": device_code,
            "user_code": device.user_code,
            "verification_uri": uri,
            "verification_uri_complete": with_query(uri, {"user_code": device.user_code}),
            "expires_in": int(settings.device_code_lifetime),
            "interval": max(1, round(settings.device_interval)),
        }
        return Reply(
            response=json_response(body, headers=NO_STORE),
            outcome="issued",
            subject=Subject(client_id=client.client_id),
        )

    def verification_page(self, call: Call) -> Reply:
        """The page to type a user code in; with one in the URL, straight to the consent.

        Raises:
            RefusedError: there is no such code, or it was decided on.
        """
        try:
            user_code = call.query().get("user_code")
        except MalformedParametersError as error:
            raise self._pages.refusal("Bad request", f"{error}.") from None
        if user_code is None:
            page = self._pages.render("device.html", {"action": VERIFICATION_PATH})
            return Reply(response=page, outcome="device")
        device = self._find(user_code)
        if device is None:
            raise self._pages.refusal(
                "No such code", "The code is unknown, was used already, or is over."
            )
        return self._consent.sign_in.begin(call, device)

    def _find(self, user_code: str) -> Device | None:
        # People type it without the dash and in small letters (RFC 8628 §6.1).
        typed = _letters(user_code)
        now = self._state.clock.now()
        return next(
            (
                device
                for device in self._state.devices
                if _letters(device.user_code) == typed
                and device.is_allowed is None
                and device.expires_at > now
            ),
            None,
        )


def _letters(user_code: str) -> str:
    return "".join(character for character in user_code.upper() if character.isalpha())
