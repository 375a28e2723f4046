"""The one-time consent: an authorization request out, a checked answer back, an active account.

    begin     freeze everything that the answer must agree with, sealed; give the URL
    complete  find by the hash of ``state``, consume, check, exchange the code once, learn who
              consented, write the tokens

The request is consumed *before* the code is exchanged, and a code is never sent twice: when the
answer to an exchange is lost, the person consents again (RFC 6749 §4.1.2). Whatever goes wrong, an
account that had tokens keeps them.
"""

from connector.consent.connect_links import ConnectLinks
from connector.consent.consents import Consents
from connector.consent.values import (
    CompletedConsent,
    StartedConsent,
    UnknownConsent,
    redirect_path,
)

__all__ = [
    "CompletedConsent",
    "ConnectLinks",
    "Consents",
    "StartedConsent",
    "UnknownConsent",
    "redirect_path",
]
