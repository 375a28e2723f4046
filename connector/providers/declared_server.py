"""An authorization server as a provider's table declares it."""

from collections.abc import Mapping
from typing import Final, Literal, cast

from connector.oauth.authorization_server import (
    STANDARD_FIELDS,
    AuthorizationServer,
    Encoding,
    ErrorMeaning,
    ErrorRule,
    Revocation,
    RevocationAuthentication,
    TokenAnswer,
    TokenRequest,
)
from connector.oauth.revocation import PLACEHOLDERS
from connector.providers.template import (
    read_conditions,
    read_headers,
    read_url,
    read_url_template,
    unknown_placeholders,
)
from connector.toml_section import Section

_MEANINGS: Final = ("invalid_grant", "invalid_client", "invalid_scope", "temporarily_unavailable")
#: What each token request holds of itself, and what no further parameter may replace.
_OWN_PARAMETERS: Final = frozenset(
    {
        "assertion",
        "client_assertion",
        "client_assertion_type",
        "client_id",
        "client_secret",
        "code",
        "code_verifier",
        "device_code",
        "grant_type",
        "redirect_uri",
        "refresh_token",
    }
)


def read_server(section: Section, variables: Mapping[str, str]) -> AuthorizationServer:
    """Read the authorization server of a provider.

    Args:
        section: the provider's table.
        variables: that its URLs may hold.
    """
    issuer = read_url(section, "issuer", variables)
    server = AuthorizationServer(
        issuer=issuer,
        authorization_endpoint=read_url(section, "authorization_endpoint", variables) or "",
        token_endpoint=read_url(section, "token_endpoint", variables) or "",
        revocation=_read_revocation(section, variables),
        device_authorization_endpoint=read_url(section, "device_authorization_endpoint", variables),
        pushed_authorization_request_endpoint=read_url(
            section, "pushed_authorization_request_endpoint", variables
        ),
        jwks_uri=read_url(section, "jwks_uri", variables),
        userinfo_endpoint=read_url(section, "userinfo_endpoint", variables),
        authorization_response_iss_parameter_supported=section.boolean(
            "authorization_response_iss_parameter_supported", default=False
        ),
        scope_separator=section.text("scope_separator", " "),
        token_request=_read_token_request(section.section("token_request")),
        token_answer=_read_token_answer(section.section("token_answer")),
    )
    if issuer is not None and "?" in issuer:
        section.problem("issuer", "must not contain a query (RFC 8414 §2)", "remove it")
    if issuer is None:
        for key in ("authorization_endpoint", "token_endpoint"):
            if key not in section:
                section.problem(key, "is missing", f"add {key} = …, or issuer = … for discovery")
    return server


def read_token_parameters(section: Section, key: str) -> dict[str, str]:
    """Read further parameters of token requests; what a request holds of itself is a problem."""
    parameters = section.text_map(key)
    for name in sorted(_OWN_PARAMETERS & parameters.keys()):
        section.problem(
            f"{key}.{name}", "is set by Connector and cannot be overridden", "remove it"
        )
    return {name: value for name, value in parameters.items() if name not in _OWN_PARAMETERS}


def _read_revocation(section: Section, variables: Mapping[str, str]) -> Revocation | None:
    """Read ``revocation_endpoint`` (RFC 7009) or a ``revocation`` table (a call of its own)."""
    endpoint = read_url(section, "revocation_endpoint", variables)
    table = section.section("revocation")
    if not table.table:
        return Revocation(endpoint=endpoint) if endpoint else None
    own = read_url_template(table, "endpoint", variables, placeholders=PLACEHOLDERS)
    if own is None and endpoint is None and "endpoint" not in table:
        table.problem("endpoint", "is missing", "add endpoint = …, or revocation_endpoint = …")
    revocation = Revocation(
        endpoint=own or endpoint or "",
        method=table.choice("method", ("POST", "DELETE", "GET"), "POST"),
        encoding=cast(
            "Literal['form', 'json', 'none']",
            table.choice("encoding", ("form", "json", "none"), "form"),
        ),
        parameters=table.text_map("parameters"),
        authentication=cast(
            "RevocationAuthentication",
            table.choice("authentication", ("client", "basic", "bearer", "none"), "client"),
        ),
        is_standard=table.boolean("is_standard", default=False),
    )
    table.finish()
    _check_revocation(table, revocation)
    return revocation


def _check_revocation(table: Section, revocation: Revocation) -> None:
    """Report what would leave a call without its credentials, or with a hole in it."""
    if revocation.encoding == "none" and revocation.authentication == "client":
        table.problem(
            "authentication",
            "client needs a body for its credentials, and encoding is none",
            "write basic, bearer or none",
        )
    for key, text in revocation.parameters.items():
        for name in unknown_placeholders(text, PLACEHOLDERS):
            known = ", ".join(sorted(PLACEHOLDERS))
            table.problem(f"parameters.{key}", f"has no {name!r} to fill in", f"known: {known}")


def _read_token_request(section: Section) -> TokenRequest:
    request = TokenRequest(
        method=cast("Literal['POST', 'GET']", section.choice("method", ("POST", "GET"), "POST")),
        encoding=cast("Encoding", section.choice("encoding", ("form", "json", "query"), "form")),
        headers=read_headers(section, "headers"),
        parameters=read_token_parameters(section, "parameters"),
        renames=section.text_map("renames"),
    )
    section.finish()
    return request


def _read_token_answer(section: Section) -> TokenAnswer:
    fields = section.section("fields")
    paths = {name: fields.texts(name, default) for name, default in STANDARD_FIELDS.items()}
    fields.finish()
    answer = TokenAnswer(
        encoding=cast(
            "Literal['json', 'form']", section.choice("encoding", ("json", "form"), "json")
        ),
        envelope=section.text("envelope"),
        fields=paths,
        success=read_conditions(section, "success"),
        errors=tuple(_read_error_rule(table) for table in section.tables("errors")),
        error_description=section.text("error_description", "error_description"),
    )
    section.finish()
    return answer


def _read_error_rule(table: Section) -> ErrorRule:
    """Read what an error of the provider means; a rule that would fit any answer is a problem."""
    rule = ErrorRule(
        when=read_conditions(table, "when"),
        means=cast("ErrorMeaning", table.choice("means", _MEANINGS, "temporarily_unavailable")),
    )
    if not rule.when:
        table.problem("when", "is missing", 'write when = { "error.code" = 190 }')
    if "means" not in table:
        table.problem("means", "is missing", f"one of: {', '.join(_MEANINGS)}")
    table.finish()
    return rule
