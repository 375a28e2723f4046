"""What an endpoint sees of a request, and what it hands back.

Endpoints are plain functions from a Call to a Reply, run one at a time under the state's lock;
reading the body, faults, the ledger and sending are done around them (see endpoint).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from connector.simulator.parameters import MalformedParametersError, Parameters

FORM_TYPE = "application/x-www-form-urlencoded"

# Answers with tokens in them are never kept by a cache (RFC 6749 §5.1).
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read whole."""

    method: str
    path: Mapping[str, str]
    """The parts of the path that the route names."""
    query_string: str
    headers: Headers
    body: bytes = field(repr=False)
    target: str = ""
    """The path as it was asked for, decoded."""

    def query(self) -> Parameters:
        """The parameters of the URL.

        Raises:
            MalformedParametersError: they cannot be read.
        """
        return Parameters.parse(self.query_string)

    def form(self) -> Parameters:
        """The parameters of the body (RFC 6749 §3.2, appendix B); no body has none.

        Raises:
            MalformedParametersError: the body is not what a form sends.
        """
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not self.body and not content_type:
            return Parameters()
        if content_type != FORM_TYPE:
            message = f"the body must be {FORM_TYPE}"
            raise MalformedParametersError(message)
        try:
            text = self.body.decode("ascii")
        except UnicodeDecodeError:
            message = "the body has bytes that are not percent-encoded"
            raise MalformedParametersError(message) from None
        return Parameters.parse(text)

    def cookie(self, name: str) -> str | None:
        """The value of a cookie, or None."""
        return cookie_parser(self.headers.get("cookie", "")).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a request is about, as far as it can be told: recorded in the ledger."""

    grant_type: str | None = None
    client_id: str | None = None
    person: str | None = None
    ad_account: str | None = None
    refresh_token: str | None = None
    """A fingerprint, never the token."""
    generation: int | None = None
    """How many refreshes lie between the consent and this refresh token."""
    family: str | None = None
    """All tokens that descend from one consent share it."""
    target: str | None = None
    """Path and query of a call to a data API, without its token."""
    body: str | None = None
    """Its body, without its token."""


NO_SUBJECT = Subject()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An endpoint's answer, and what the ledger is to say of it."""

    response: Response
    outcome: str = "ok"
    subject: Subject = NO_SUBJECT


class RefusedError(Exception):
    """A request was refused; carries the answer that says so."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.outcome)
        self.reply = reply


Act = Callable[[Call], Reply]
Preview = Callable[[Call], Subject]


def json_response(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """`content` as JSON; non-ASCII stays as it is, in UTF-8."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(text, status_code=status, headers=headers, media_type="application/json")


def plain_response(text: str, *, status: int = 200) -> Response:
    """A line of text."""
    return Response(f"{text}\n", status_code=status, media_type="text/plain")


def see_other(location: str, *, status: int = 303) -> Response:
    """A redirect that is fetched with GET, whatever this request was (RFC 9700 §4.12)."""
    return Response(status_code=status, headers={**NO_STORE, "Location": location})
