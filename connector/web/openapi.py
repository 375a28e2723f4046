"""What the daemon serves, as an OpenAPI 3.1 document; a test compares it with the routes."""

from connector import __version__
from connector.store.refresh_history import MOST_OF_AN_ACCOUNT
from connector.store.run_logs import MOST_LINES
from connector.web.job_runs import DEFAULT_LIMIT, LAST_LINE, MOST_RUNS
from connector.web.limits import ANY_REQUEST
from connector.web.openapi_parts import (
    PROBLEM,
    TEXT,
    Json,
    header,
    json_of,
    limit_of,
    list_of,
    operation,
    path_parameter,
    query,
    ref,
)
from connector.web.openapi_schemas import schemas
from connector.web.refreshes import DEFAULT_LIMIT as DEFAULT_REFRESHES


def openapi() -> Json:
    """Give the document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connector",
            "version": __version__,
            "description": "Over TCP an API key is needed (Authorization: Bearer), except for "
            "/healthz and the pages of a consent; over the Unix socket the same user needs none. "
            "To a key, accounts that are not its own do not exist. No request waits for a person. "
            f"{ANY_REQUEST}",
        },
        "paths": _service_paths() | _account_paths() | _job_paths() | _page_paths(),
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],
    }


def _service_paths() -> Json:
    text: Json = {"text/plain": {"schema": TEXT}}
    document = {"200": ("OpenAPI 3.1", json_of({"type": "object"}))}
    return {
        "/healthz": {"get": operation("The daemon is alive", {"200": ("Alive", text)})},
        "/readyz": {
            "get": operation("Calls should be sent here", {"200": ("Ready", text)}, (401, 403, 503))
        },
        "/metrics": {"get": operation("Metrics", {"200": ("For Prometheus", text)}, (401, 403))},
        "/openapi.json": {"get": operation("This document", document, (401, 403))},
    }


def _account_paths() -> Json:
    refused = (401, 403, 404)
    unminted = (*refused, 409, 500, 502, 503)
    account = path_parameter("account", "The account's name; its slashes are not escaped")
    min_ttl = query("min_ttl", {"type": "number"}, "Seconds that the token must still be good for")
    strict = query("strict", {"enum": ["true"]}, "Refuse a token that is good for less")
    rejected = header(
        "Connector-Rejected",
        "The token that an API rejected: where the present one is another, that is given",
    )
    token = json_of(ref("Token")) | {"text/plain": {"schema": TEXT}}
    return {
        "/v1/accounts": {
            "get": operation(
                "All accounts", {"200": ("Accounts", json_of(list_of("Account")))}, (401, 403, 503)
            )
        },
        "/v1/accounts/{account}": {
            "parameters": [account],
            "get": operation(
                "One account", {"200": ("Account", json_of(ref("Account")))}, (*refused, 421, 503)
            ),
        },
        "/v1/accounts/{account}/token": {
            "parameters": [account],
            "get": operation("A token", {"200": ("Token", token)}, (400, *unminted, 421))
            | {"parameters": [min_ttl, strict]},
        },
        "/v1/accounts/{account}/refresh": {
            "parameters": [account],
            "post": operation(
                "Force one refresh", {"200": ("Token", json_of(ref("Token")))}, (*unminted, 421)
            )
            | {"parameters": [rejected]},
        },
        "/v1/accounts/{account}/revoke": {
            "parameters": [account],
            "post": operation(
                "Destroy an account's tokens, and revoke them at the provider",
                {
                    "200": ("The provider confirmed or needs not", json_of(ref("Revocation"))),
                    "202": ("It has not confirmed: tried again", json_of(ref("Revocation"))),
                },
                (*refused, 503),
            ),
        },
        "/v1/refreshes": {
            "get": operation(
                "The last refreshes of an account, the newest first",
                {"200": ("Refreshes", json_of(list_of("Refresh")))},
                (400, *refused, 503),
            )
            | {
                "parameters": [
                    query("account", TEXT, "Whose; needed") | {"required": True},
                    query("limit", limit_of(DEFAULT_REFRESHES, MOST_OF_AN_ACCOUNT), "How many"),
                ]
            }
        },
        "/v1/consents": {
            "post": operation(
                "Make a link that leads a person to consent",
                {"200": ("Link, single use and expiring", json_of(ref("ConnectLink")))},
                (400, 401, 403, 404, 413, 415, 500, 502, 503),
            )
            | {"requestBody": {"required": True, "content": json_of(ref("ConsentWish"))}},
        },
    }


def _job_paths() -> Json:
    return {
        "/v1/jobs": {
            "get": operation(
                "The configured jobs", {"200": ("Jobs", json_of(list_of("Job")))}, (401, 403, 503)
            )
        },
        "/v1/jobs/{job}/runs": {
            "parameters": [path_parameter("job", "The job's name")],
            "post": operation(
                "Run a job now, for every active account that it selects or for one",
                {"202": ("Runs go on in the background", json_of(ref("BegunRuns")))},
                (400, 401, 403, 404, 409, 413, 415, 503),
            )
            | {"requestBody": {"required": False, "content": json_of(ref("RunWish"))}},
        },
        "/v1/runs": {
            "get": operation(
                "The last runs, the newest first",
                {"200": ("Runs", json_of(list_of("Run")))},
                (400, 401, 403, 503),
            )
            | {
                "parameters": [
                    query("job", TEXT, "Only of this job"),
                    query("account", TEXT, "Only of this account"),
                    query("limit", limit_of(DEFAULT_LIMIT, MOST_RUNS), "How many"),
                ]
            }
        },
        "/v1/runs/{run}/log": {
            "parameters": [path_parameter("run", "The run's identifier")],
            "get": operation(
                "What a run has said: the first 500 lines and the newest 500",
                {"200": ("Lines, the oldest first", json_of(list_of("LogLine")))},
                (400, 401, 403, 404, 503),
            )
            | {
                "parameters": [
                    query(
                        "after",
                        {"type": "integer", "minimum": 0, "maximum": LAST_LINE, "default": 0},
                        "Only lines with a higher number",
                    ),
                    query("limit", limit_of(MOST_LINES, MOST_LINES), "How many"),
                ]
            },
        },
    }


def _page_paths() -> Json:
    """Give the pages that a person's browser is led through; HTML, and redirections."""
    page: Json = {"text/html": {"schema": TEXT}}
    refusal: Json = page | PROBLEM
    led_on: Json = {"description": "Led on"}
    stray: Json = {"description": "Belongs to nothing that is under way", "content": refusal}
    unusable: Json = {"description": "Not usable", "content": page}
    refused: Json = {
        "description": "From another browser, host or site; or the code is not right",
        "content": refusal,
    }
    failed: Json = {"description": "Not connected, or not yet", "content": page}
    shown: Json = {"description": "The page", "content": page}
    return {
        "/connect/{ticket}": {
            "parameters": [path_parameter("ticket", "Of the link")],
            "get": {
                "summary": "Ask a person",
                "responses": {"200": shown, "403": refused, "404": stray},
            },
            "post": {
                "summary": "Lead a person to the provider",
                "responses": {"303": led_on, "403": refused, "404": stray, "503": failed},
            },
        },
        "/callback/{provider}": {
            "parameters": [path_parameter("provider", "The provider's name")],
            "get": {
                "summary": "The redirect URI",
                "responses": {"303": led_on, "400": unusable, "403": refused, "404": stray},
            },
        },
        "/consent/{consent}": {
            "parameters": [path_parameter("consent", "Its identifier")],
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
