"""The exchange of a code for tokens, once, and what to say when it does not succeed."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from connector import errors
from connector.account import Account
from connector.consent.outcome import unavailable
from connector.oauth.authorization_request import (
    AuthorizationCode,
    AuthorizationError,
    AuthorizationRequest,
    ResponseRejected,
    check_response,
)
from connector.oauth.id_token import IdTokenRejected
from connector.oauth.token import TokenSet
from connector.oauth.token_response import Answer, Granted, NeverSent, OutcomeUnknown, Refused
from connector.providers.client import ProviderClient
from connector.providers.identity import IdentityUnknown, Person, identify
from connector.secret import Secret
from connector.store.grants import Consent
from connector.token_source.verdict import judge

logger = logging.getLogger(__name__)

#: A code lives for seconds; what was never sent may be tried again within that time.
SENDING_TRIES: Final = 3
SENDING_PAUSE: Final = 0.5
#: Learning who consented is worth a few tries: the code cannot be used again.
IDENTITY_TRIES: Final = 3


async def exchange_code(
    client: ProviderClient,
    request: AuthorizationRequest,
    answer: AuthorizationCode,
    account: str,
    *,
    now: Callable[[], float],
) -> TokenSet:
    """Exchange a code; where the provider's token is short-lived at first, exchange it on.

    Args:
        client: of the provider.
        request: that the code answers.
        answer: the code.
        account: for messages.
        now: gives seconds since the epoch.

    Raises:
        ConsentNotGiven: the provider refused the code.
        RegistrationRejected: the provider rejects our client registration.
        TemporarilyUnavailable: nothing could be sent, or the answer was lost; the code is not sent
            again, so the person must consent again.
    """
    outcome: Answer = NeverSent(cause="not tried")
    for attempt in range(SENDING_TRIES):
        outcome = await client.endpoint.exchange_code(
            code=answer.code,
            redirect_uri=request.redirect_uri,
            code_verifier=request.code_verifier,
            parameters=client.provider.exchange_params,
        )
        if not isinstance(outcome, NeverSent):
            break
        if attempt < SENDING_TRIES - 1:
            await _pause()
    if not isinstance(outcome, Granted):
        raise _failure(client, outcome, account, now())
    return await _exchange_on(client, outcome.tokens, account)


def check_answer(
    client: ProviderClient,
    request: AuthorizationRequest,
    response: Mapping[str, str],
    account: str,
) -> AuthorizationCode:
    """Check the answer to an authorization request, and give its code.

    Args:
        client: of the provider.
        request: that is answered.
        response: the parameters of the redirect.
        account: for messages.

    Raises:
        ConsentNotGiven: it is not safe, or the person or the provider refused.
    """
    try:
        answer = check_response(response, state=request.state, server=client.server)
    except ResponseRejected as error:
        reason = f"the answer is not safe: {error}"
        raise errors.ConsentNotGiven(account, reason, "unsafe_answer") from None
    if isinstance(answer, AuthorizationError):
        text = f": {answer.description}" if answer.description else ""
        reason = f"the provider answered {answer.error}{text}"
        outcome = "denied" if answer.error == "access_denied" else "provider_error"
        raise errors.ConsentNotGiven(account, reason, outcome)
    return answer


async def identify_person(
    client: ProviderClient, tokens: TokenSet, *, nonce: Secret | None, account: str, now: float
) -> Person | None:
    """Learn who consented, or None where the provider has no way to tell.

    Raises:
        ConsentNotGiven: the ID token must not be believed, so the tokens are not used.
        TemporarilyUnavailable: it could not be learned.
    """
    for attempt in range(IDENTITY_TRIES):
        try:
            return await identify(client, tokens, nonce=nonce, now=now)
        except IdTokenRejected as error:
            reason = f"the ID token must not be believed: {error}"
            raise errors.ConsentNotGiven(account, reason, "unsafe_id_token") from None
        except IdentityUnknown as error:
            if attempt == IDENTITY_TRIES - 1:
                raise errors.TemporarilyUnavailable(
                    f"who consented could not be learned ({error}); consent again"
                ) from None
            await _pause()
    return None


def check_same_provider(account: Account, provider: str) -> None:
    """Refuse to replace tokens of another provider: people are told apart within one only.

    An ended grant counts too: its tokens are kept, and may turn out to be good.

    Raises:
        ConsentNotGiven: the account has tokens of another provider.
    """
    if account.grant is not None and account.provider != provider:
        raise errors.ConsentNotGiven(
            account.name,
            f"it holds a grant of provider {account.provider}; nothing was changed. "
            f"To give it to {provider}, type first: connector forget {account.name}",
            "another_provider",
        )


def check_same_person(account: Account, consent: Consent) -> None:
    """Refuse a reconnect by another person (CHECKLIST 12), or at another provider.

    Raises:
        ConsentNotGiven: somebody else consented than the account belongs to.
    """
    check_same_provider(account, consent.provider)
    grant = account.grant
    if grant is None or grant.subject is None:
        return
    if consent.subject != grant.subject:
        name = f" ({grant.subject_name})" if grant.subject_name else ""
        raise errors.ConsentNotGiven(
            account.name,
            f"another person consented than the one it belongs to{name}; nothing was changed. "
            f"To give it to the other person, type first: connector forget {account.name}",
            "another_person",
        )


async def _exchange_on(client: ProviderClient, tokens: TokenSet, account: str) -> TokenSet:
    """Exchange a short-lived token for a long-lived one, where the provider wants that.

    Where it fails the short-lived one is kept: it works now, and the renewal is tried again later.
    """
    exchange = client.provider.exchange
    if exchange is None or not exchange.is_after_code:
        return tokens
    outcome = await client.endpoint.exchange_access_token(
        tokens.access_token, grant_type=exchange.grant_type, parameter=exchange.parameter
    )
    if isinstance(outcome, Granted):
        return outcome.tokens
    verdict = judge(outcome, client.provider.name, 1)
    logger.warning(
        "the short-lived token is kept: %s",
        verdict.message,
        extra={"action": "consent.short_lived", "account": account},
    )
    return tokens


async def _pause() -> None:
    await asyncio.sleep(SENDING_PAUSE)


def _failure(
    client: ProviderClient, outcome: Answer, account: str, now: float
) -> errors.ConnectorError:
    verdict = judge(outcome, client.provider.name, 1)
    if verdict.rejected is not None:
        return errors.RegistrationRejected(client.provider.name, verdict.rejected)
    if isinstance(outcome, Refused):
        return errors.ConsentNotGiven(account, f"{verdict.message}; consent again", "code_refused")
    if isinstance(outcome, OutcomeUnknown):
        return unavailable(verdict, now=now, then="; the code is not sent twice, so consent again")
    return unavailable(verdict, now=now, then="; consent again")
