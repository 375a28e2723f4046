"""Consent on another device: a short code that the person types there (RFC 8628).

Polling waits at least the server's interval, five seconds more after each ``slow_down`` (§3.5), and
stops when the code expires. The code and the host that it is typed at are always shown (§5.4).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from connector import errors
from connector.consent.outcome import unavailable
from connector.oauth.answer_fields import printable, read_seconds
from connector.oauth.endpoint_url import check_endpoint_url
from connector.oauth.strict_json import parse_json_object
from connector.oauth.token import TokenSet
from connector.oauth.token_endpoint import FORM
from connector.oauth.token_response import (
    Granted,
    NeverSent,
    OutcomeUnknown,
    Refused,
    Unavailable,
)
from connector.oauth.wire import WireAnswer
from connector.providers.client import ProviderClient
from connector.secret import Secret
from connector.token_source.verdict import judge

GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:device_code"
DEFAULT_INTERVAL: Final = 5.0  # RFC 8628 §3.2
SLOW_DOWN: Final = 5.0  # RFC 8628 §3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorization:
    """What the device authorization endpoint answered (RFC 8628 §3.2).

    Attributes:
        device_code: sent when polling.
        user_code: what the person types.
        verification_uri: where.
        interval: seconds between polls.
        expires_at: until when the code is good, seconds since the epoch.
    """

    device_code: Secret
    user_code: str
    verification_uri: str
    interval: float
    expires_at: float


async def begin_device(client: ProviderClient, *, now: float) -> DeviceAuthorization:
    """Ask for a code.

    Raises:
        ConfigurationError: the provider has no device authorization endpoint.
        RegistrationRejected: the provider rejects our client registration.
        TemporarilyUnavailable: no usable answer came.
    """
    endpoint = client.server.device_authorization_endpoint
    if endpoint is None:
        raise errors.ConfigurationError(
            [
                errors.Problem(
                    "config.toml",
                    f"providers.{client.provider.name}.device_authorization_endpoint",
                    "the provider offers no device grant",
                    "leave out --device",
                )
            ]
        )
    parameters: dict[str, str] = {}
    if client.provider.scopes and client.provider.sends_scope:
        parameters["scope"] = client.server.scope_separator.join(client.provider.scopes)
    url, headers, body = client.registration.authenticate(
        client.server, endpoint, {"Content-Type": FORM}, urlencode(parameters), now=now
    )
    answer = await client.wire.send("POST", url, headers, body.encode())
    if not isinstance(answer, WireAnswer):
        raise unavailable(judge(answer, client.provider.name, 1), now=now)
    if answer.status != 200:
        raise _refusal(client, answer, now)
    return _read(client, answer.body, now)


async def poll_device(
    client: ProviderClient,
    authorization: DeviceAuthorization,
    account: str,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> TokenSet:
    """Poll until the person has decided.

    Args:
        client: of the provider.
        authorization: from `begin_device`.
        account: for messages.
        now: gives seconds since the epoch.
        sleep: waits between two polls.

    Raises:
        ConsentNotGiven: denied, or the code has expired.
        RegistrationRejected: the provider rejects our client registration.
        TemporarilyUnavailable: the provider answered something that is no reason to go on.
    """
    interval = authorization.interval
    while True:
        await sleep(interval)
        if now() >= authorization.expires_at:
            raise errors.ConsentNotGiven(account, "the code has expired; start again", "expired")
        outcome = await client.endpoint.request(
            GRANT_TYPE, {"device_code": authorization.device_code.reveal()}
        )
        match outcome:
            case Granted(tokens=tokens):
                return tokens
            case Refused(error="authorization_pending"):
                continue
            case Refused(error="slow_down"):
                interval += SLOW_DOWN
            case Refused(error="access_denied"):
                raise errors.ConsentNotGiven(account, "the person denied it", "denied")
            case Refused(error="expired_token"):
                raise errors.ConsentNotGiven(
                    account, "the code has expired; start again", "expired"
                )
            case NeverSent() | OutcomeUnknown() | Unavailable():
                interval += SLOW_DOWN  # RFC 8628 §3.5: back off on a timeout
            case _:
                verdict = judge(outcome, client.provider.name, 1)
                if verdict.rejected is not None:
                    raise errors.RegistrationRejected(client.provider.name, verdict.rejected)
                raise unavailable(verdict, now=now())


def _read(client: ProviderClient, body: bytes, now: float) -> DeviceAuthorization:
    name = client.provider.name
    try:
        answer = parse_json_object(body)
        uri = answer.get("verification_uri") or answer.get("verification_url")
        verification_uri = check_endpoint_url(uri if isinstance(uri, str) else "")
    except ValueError as error:
        raise errors.TemporarilyUnavailable(f"the answer of {name} is unusable: {error}") from None
    device_code, user_code = answer.get("device_code"), printable(answer.get("user_code"), 40)
    lifetime = read_seconds(answer.get("expires_in"))
    if not isinstance(device_code, str) or user_code is None or lifetime is None:
        raise errors.TemporarilyUnavailable(f"the answer of {name} is unusable: fields are missing")
    return DeviceAuthorization(
        device_code=Secret(device_code),
        user_code=user_code,
        verification_uri=verification_uri,
        interval=read_seconds(answer.get("interval")) or DEFAULT_INTERVAL,
        expires_at=now + lifetime,
    )


def _refusal(client: ProviderClient, answer: WireAnswer, now: float) -> errors.ConnectorError:
    from connector.oauth.token_response import read_token_response

    outcome = read_token_response(
        answer.status, answer.headers, answer.body, shape=client.server.token_answer, sent_at=now
    )
    verdict = judge(outcome, client.provider.name, 1)
    if verdict.rejected is not None:
        return errors.RegistrationRejected(client.provider.name, verdict.rejected)
    return unavailable(verdict, now=now)
