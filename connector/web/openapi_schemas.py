"""The objects of the API, as its OpenAPI document describes them."""

from typing import Final

from connector.consent.connect_links import DEFAULT_LIFETIME, LONGEST_LIFETIME, SHORTEST_LIFETIME
from connector.token_source.outcomes import OUTCOMES
from connector.web.openapi_parts import (
    NUMBER,
    NUMBER_OR_NULL,
    TEXT,
    TEXT_OR_NULL,
    TIME,
    TRUTH,
    Json,
    object_of,
)

#: How a run ends, or that it has not.
_OUTCOMES: Final = ["queued", "running", "succeeded", "failed", "consent_required", "interrupted"]
#: What a link may be asked for: seconds for which it leads somewhere, and that whoever follows it
#: must enter a code.
_OF_LINK: Final[Json] = {
    "expires_in": {
        "type": "number",
        "minimum": SHORTEST_LIFETIME,
        "maximum": LONGEST_LIFETIME,
        "default": DEFAULT_LIFETIME,
    },
    "with_code": {"type": "boolean", "default": False},
}


def schemas() -> Json:
    """Give them by name."""
    begun = {
        "account": TEXT,
        "run": TEXT_OR_NULL,
        "state": {"enum": ["begun", "waiting", "already_running"]},
    }
    return {
        "Account": object_of(
            account=TEXT,
            provider=TEXT,
            state={"enum": ["pending", "active", "consent_required"]},
            scope=TEXT_OR_NULL,
            access_token_expires_at=TIME,
            consent_ends_at=TIME,
            last_error=TEXT_OR_NULL,
        ),
        "Token": object_of(
            access_token=TEXT,
            token_type=TEXT,
            expires_at=TIME,
            expires_in=NUMBER_OR_NULL,
            scope=TEXT_OR_NULL,
        ),
        "Refresh": object_of(
            at={"type": "string", "format": "date-time"},
            seconds={"type": "number"},
            outcome={"enum": list(OUTCOMES)},
            error=TEXT_OR_NULL,
        ),
        "Revocation": object_of(
            account=TEXT,
            confirmed=TRUTH,
            offered=TRUTH,
            cause=TEXT_OR_NULL,
            retry_at=TIME,
        ),
        "ConsentWish": object_of(provider=TEXT, account=TEXT)
        | {"properties": {"provider": TEXT, "account": TEXT} | _OF_LINK},
        "ConnectLink": object_of(
            connect_url={"type": "string", "format": "uri"}, expires_at=TIME, code=TEXT_OR_NULL
        ),
        "Job": object_of(
            job=TEXT,
            accounts=TEXT,
            provider=TEXT_OR_NULL,
            schedule=TEXT_OR_NULL,
            paused=TRUTH,
            next=TIME,
            last_outcome={"enum": [*_OUTCOMES, None]},
            records=NUMBER_OR_NULL,
            last_error=TEXT_OR_NULL,
        ),
        "RunWish": {
            "type": "object",
            "properties": {"account": TEXT_OR_NULL, "since": {}},
            "additionalProperties": False,
        },
        "BegunRuns": object_of(job=TEXT, runs={"type": "array", "items": object_of(**begun)}),
        "Run": object_of(
            run=TEXT,
            job=TEXT,
            account=TEXT,
            due_at=TIME,
            queued_at=TIME,
            started_at=TIME,
            finished_at=TIME,
            outcome={"enum": _OUTCOMES},
            records=NUMBER,
            batches=NUMBER,
            tokens=NUMBER,
            attempt=NUMBER,
            host=TEXT_OR_NULL,
            pages=NUMBER,
            bytes=NUMBER,
            retries=NUMBER,
            rejected=NUMBER,
            waited={"type": "number"},
            lane=TEXT_OR_NULL,
            error=TEXT_OR_NULL,
        ),
        "LogLine": object_of(number=NUMBER, at=TIME, kind=TEXT, text=TEXT),
        "Problem": object_of(type=TEXT, title=TEXT, status=NUMBER, detail=TEXT),
    }
