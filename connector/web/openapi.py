"""What the daemon serves, as an OpenAPI 3.1 document; a test compares it with the routes."""

from typing import Final

from connector import __version__
from connector.store.refresh_history import MOST_OF_AN_ACCOUNT
from connector.token_source.outcomes import OUTCOMES
from connector.web.job_runs import DEFAULT_LIMIT, MOST_RUNS
from connector.web.refreshes import DEFAULT_LIMIT as DEFAULT_REFRESHES

Json = dict[str, object]

_TIME: Final[Json] = {"type": ["string", "null"], "format": "date-time"}
_TEXT: Final[Json] = {"type": "string"}
_TEXT_OR_NULL: Final[Json] = {"type": ["string", "null"]}
_NUMBER: Final[Json] = {"type": "integer"}
_NUMBER_OR_NULL: Final[Json] = {"type": ["integer", "null"]}
_TRUTH: Final[Json] = {"type": "boolean"}
_PROBLEM: Final[Json] = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}
_OUTCOMES: Final = ["running", "succeeded", "failed", "consent_required", "interrupted"]


def openapi() -> Json:
    """Give the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connector",
            "version": __version__,
            "description": "Over TCP an API key is needed (Authorization: Bearer), except for "
            "/healthz and the pages of a consent; over the Unix socket the same user needs none. "
            "To a key, accounts that are not its own do not exist. No request waits for a person",
        },
        "paths": _service_paths() | _account_paths() | _job_paths() | _page_paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _service_paths() -> Json:
    text: Json = {"text/plain": {"schema": _TEXT}}
    return {
        "/healthz": {"get": _operation("The daemon is alive", {"200": ("Alive", text)})},
        "/readyz": {
            "get": _operation(
                "Calls should be sent here", {"200": ("Ready", text)}, (401, 403, 503)
            )
        },
        "/openapi.json": {
            "get": _operation(
                "This document",
                {"200": ("OpenAPI 3.1", _json({"type": "object"}))},
                (401, 403),
            )
        },
    }


def _account_paths() -> Json:
    refused = (401, 403, 404)
    unminted = (*refused, 409, 500, 502, 503)
    account = _path_parameter("account", "The account's name; its slashes are not escaped")
    min_ttl = _query("min_ttl", {"type": "number"}, "Seconds that the token must still be good for")
    strict = _query("strict", {"enum": ["true"]}, "Refuse a token that is good for less")
    rejected = _header(
        "Connector-Rejected",
        "The token that an API rejected: where the present one is another, that is given",
    )
    token = _json(_ref("Token")) | {"text/plain": {"schema": _TEXT}}
    return {
        "/v1/accounts": {
            "get": _operation(
                "All accounts", {"200": ("Accounts", _json(_list("Account")))}, (401, 403, 503)
            )
        },
        "/v1/accounts/{account}": {
            "parameters": [account],
            "get": _operation(
                "One account", {"200": ("Account", _json(_ref("Account")))}, (*refused, 421, 503)
            ),
        },
        "/v1/accounts/{account}/token": {
            "parameters": [account],
            "get": _operation("A token", {"200": ("Token", token)}, (400, *unminted, 421))
            | {"parameters": [min_ttl, strict]},
        },
        "/v1/accounts/{account}/refresh": {
            "parameters": [account],
            "post": _operation(
                "Force one refresh", {"200": ("Token", _json(_ref("Token")))}, (*unminted, 421)
            )
            | {"parameters": [rejected]},
        },
        "/v1/accounts/{account}/revoke": {
            "parameters": [account],
            "post": _operation(
                "Destroy an account's tokens, and revoke them at the provider",
                {
                    "200": ("The provider confirmed or needs not", _json(_ref("Revocation"))),
                    "202": ("It has not confirmed: tried again", _json(_ref("Revocation"))),
                },
                (*refused, 503),
            ),
        },
        "/v1/refreshes": {
            "get": _operation(
                "The last refreshes of an account, the newest first",
                {"200": ("Refreshes", _json(_list("Refresh")))},
                (400, *refused, 503),
            )
            | {
                "parameters": [
                    _query("account", _TEXT, "Whose; needed") | {"required": True},
                    _query("limit", _limit(DEFAULT_REFRESHES, MOST_OF_AN_ACCOUNT), "How many"),
                ]
            }
        },
        "/v1/consents": {
            "post": _operation(
                "Make a link that leads a person to consent",
                {"200": ("Link, single use and expiring", _json(_ref("ConnectLink")))},
                (400, 401, 403, 404, 413, 415, 500, 502, 503),
            )
            | {"requestBody": {"required": True, "content": _json(_ref("ConsentWish"))}},
        },
    }


def _job_paths() -> Json:
    return {
        "/v1/jobs": {
            "get": _operation(
                "The configured jobs", {"200": ("Jobs", _json(_list("Job")))}, (401, 403, 503)
            )
        },
        "/v1/jobs/{job}/runs": {
            "parameters": [_path_parameter("job", "The job's name")],
            "post": _operation(
                "Run a job now, for every active account that it selects or for one",
                {"202": ("Runs go on in the background", _json(_ref("BegunRuns")))},
                (400, 401, 403, 404, 409, 413, 415, 503),
            )
            | {"requestBody": {"required": False, "content": _json(_ref("RunWish"))}},
        },
        "/v1/runs": {
            "get": _operation(
                "The last runs, the newest first",
                {"200": ("Runs", _json(_list("Run")))},
                (400, 401, 403, 503),
            )
            | {
                "parameters": [
                    _query("job", _TEXT, "Only of this job"),
                    _query("account", _TEXT, "Only of this account"),
                    _query("limit", _limit(DEFAULT_LIMIT, MOST_RUNS), "How many"),
                ]
            }
        },
    }


def _page_paths() -> Json:
    """Give the pages that a person's browser is led through; HTML, and redirections."""
    page: Json = {"text/html": {"schema": _TEXT}}
    refusal: Json = page | _PROBLEM
    led_on: Json = {"description": "Led on"}
    stray: Json = {"description": "Belongs to nothing that is under way", "content": refusal}
    unusable: Json = {"description": "Not usable", "content": page}
    refused: Json = {"description": "From another browser, host or site", "content": refusal}
    failed: Json = {"description": "Not connected, or not yet", "content": page}
    shown: Json = {"description": "The page", "content": page}
    return {
        "/connect/{ticket}": {
            "parameters": [_path_parameter("ticket", "Of the link")],
            "get": {
                "summary": "Ask a person",
                "responses": {"200": shown, "403": refused, "404": stray},
            },
            "post": {
                "summary": "Lead a person to the provider",
                "responses": {"303": led_on, "403": refused, "404": stray},
            },
        },
        "/callback/{provider}": {
            "parameters": [_path_parameter("provider", "The provider's name")],
            "get": {
                "summary": "The redirect URI",
                "responses": {"303": led_on, "400": unusable, "403": refused, "404": stray},
            },
        },
        "/consent/{consent}": {
            "parameters": [_path_parameter("consent", "Its identifier")],
            "get": {
                "summary": "How a consent ended",
                "responses": {
                    "200": shown,
                    "400": failed,
                    "403": refused,
                    "404": stray,
                    "503": failed,
                },
            },
        },
    }


def _schemas() -> Json:
    begun = {
        "account": _TEXT,
        "run": _TEXT_OR_NULL,
        "state": {"enum": ["begun", "waiting", "already_running"]},
    }
    return {
        "Account": _object(
            account=_TEXT,
            provider=_TEXT,
            state={"enum": ["pending", "active", "consent_required"]},
            scope=_TEXT_OR_NULL,
            access_token_expires_at=_TIME,
            consent_ends_at=_TIME,
            last_error=_TEXT_OR_NULL,
        ),
        "Token": _object(
            access_token=_TEXT,
            token_type=_TEXT,
            expires_at=_TIME,
            expires_in=_NUMBER_OR_NULL,
            scope=_TEXT_OR_NULL,
        ),
        "Refresh": _object(
            at={"type": "string", "format": "date-time"},
            seconds={"type": "number"},
            outcome={"enum": list(OUTCOMES)},
            error=_TEXT_OR_NULL,
        ),
        "Revocation": _object(
            account=_TEXT,
            confirmed=_TRUTH,
            offered=_TRUTH,
            cause=_TEXT_OR_NULL,
            retry_at=_TIME,
        ),
        "ConsentWish": _object(provider=_TEXT, account=_TEXT),
        "ConnectLink": _object(connect_url={"type": "string", "format": "uri"}, consent=_TEXT),
        "Job": _object(
            job=_TEXT,
            accounts=_TEXT,
            provider=_TEXT_OR_NULL,
            schedule=_TEXT_OR_NULL,
            paused=_TRUTH,
            next=_TIME,
            last_outcome={"enum": [*_OUTCOMES, None]},
            records=_NUMBER_OR_NULL,
            last_error=_TEXT_OR_NULL,
        ),
        "RunWish": {
            "type": "object",
            "properties": {"account": _TEXT_OR_NULL, "since": {}},
            "additionalProperties": False,
        },
        "BegunRuns": _object(job=_TEXT, runs={"type": "array", "items": _object(**begun)}),
        "Run": _object(
            run=_TEXT,
            job=_TEXT,
            account=_TEXT,
            due_at=_TIME,
            started_at=_TIME,
            finished_at=_TIME,
            outcome={"enum": _OUTCOMES},
            records=_NUMBER,
            batches=_NUMBER,
            tokens=_NUMBER,
            error=_TEXT_OR_NULL,
        ),
        "Problem": _object(type=_TEXT, title=_TEXT, status=_NUMBER, detail=_TEXT),
    }


def _operation(
    summary: str, answers: dict[str, tuple[str, Json]], problems: tuple[int, ...] = (403,)
) -> Json:
    responses: Json = {
        status: {"description": description, "content": content}
        for status, (description, content) in answers.items()
    }
    for status in sorted(problems):
        responses[str(status)] = {"description": "RFC 9457", "content": _PROBLEM}
    return {"summary": summary, "responses": responses}


def _object(**properties: object) -> Json:
    """Give an object all of whose members are always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(name: str) -> Json:
    return {"type": "array", "items": _ref(name)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _path_parameter(name: str, description: str) -> Json:
    return {
        "name": name, "in": "path", "required": True, "schema": _TEXT, "description": description
    }  # fmt: skip


def _header(name: str, description: str) -> Json:
    return {"name": name, "in": "header", "schema": _TEXT, "description": description}


def _limit(default: int, most: int) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}
