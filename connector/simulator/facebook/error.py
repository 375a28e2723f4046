"""Graph API errors: an object under `error`, not the RFC's string.

Codes, subcodes and messages are those that public documentation and logs show; where only general
knowledge stands behind one, the line says "assumed". HTTP status is 400, or 403 for permissions
(assumed): clients must not decide by it.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from connector.simulator.call import (
    NO_STORE,
    NO_SUBJECT,
    RefusedError,
    Reply,
    Subject,
    json_response,
)
from connector.simulator.facebook.settings import TooMuch

SESSION = "Error validating access token: "

# Messages tell times in Pacific Standard Time.
PACIFIC = timezone(timedelta(hours=-8), "PST")


class GraphError(RefusedError):
    """A Graph call is refused."""

    def __init__(
        self,
        code: int,
        message: str,
        *,
        subcode: int | None = None,
        kind: str = "OAuthException",
        status: int = 400,
        is_transient: bool = False,
        subject: Subject = NO_SUBJECT,
    ) -> None:
        self.code = code
        self.subcode = subcode
        self.message = message
        error: dict[str, object] = {"message": message, "type": kind, "code": code}
        if subcode is not None:
            error["error_subcode"] = subcode
        if is_transient:
            error["is_transient"] = True
        error["fbtrace_id"] = f"A{secrets.token_urlsafe(16)}"
        response = json_response({"error": error}, status=status, headers=NO_STORE)
        outcome = str(code) if subcode is None else f"{code}/{subcode}"
        super().__init__(Reply(response=response, outcome=outcome, subject=subject))

    def as_debug_error(self) -> Mapping[str, object]:
        """The error as debug_token shows it."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.subcode is not None:
            error["subcode"] = self.subcode
        return error


def no_token() -> GraphError:
    """No access token at all (assumed)."""
    return GraphError(104, "An access token is required to request this resource.")


def unreadable_token() -> GraphError:
    """Something that is no access token of ours."""
    return GraphError(190, "Invalid OAuth access token - Cannot parse access token")


def session_expired(expired_at: float, now: float, subject: Subject) -> GraphError:
    """The token's time is over: it cannot be exchanged either."""
    message = (
        f"{SESSION}Session has expired on {_pacific(expired_at)}. "
        f"The current time is {_pacific(now)}."
    )
    return GraphError(190, message, subcode=463, subject=subject)


def app_removed(user_id: str, app_id: str, subject: Subject) -> GraphError:
    """The person took the app out of their account."""
    message = f"{SESSION}User {user_id} has not authorized application {app_id}."
    return GraphError(190, message, subcode=458, subject=subject)


def password_changed(subject: Subject) -> GraphError:
    """The person changed their password."""
    message = (
        f"{SESSION}The session has been invalidated because the user changed their password or "
        "Facebook has changed the session for security reasons."
    )
    return GraphError(190, message, subcode=460, subject=subject)


def logged_out(subject: Subject) -> GraphError:
    """The person ended the session."""
    message = f"{SESSION}The session is invalid because the user logged out."
    return GraphError(190, message, subcode=467, subject=subject)


def checkpointed(subject: Subject) -> GraphError:
    """The person has to prove at the provider's own pages who they are (assumed wording)."""
    message = (
        f"{SESSION}You cannot access the app till you log in to www.facebook.com and follow the "
        "instructions given."
    )
    return GraphError(190, message, subcode=459, subject=subject)


def unconfirmed(subject: Subject) -> GraphError:
    """The person's account is not confirmed (assumed wording)."""
    message = f"{SESSION}Sessions for the user are not allowed because the user is not confirmed."
    return GraphError(190, message, subcode=464, subject=subject)


def session_ended(subject: Subject) -> GraphError:
    """The old name of a dead session (assumed wording)."""
    return GraphError(102, "Session key invalid or no longer valid", subject=subject)


def token_invalid(subject: Subject) -> GraphError:
    """A token that is dead without a reason being given (assumed wording)."""
    return GraphError(190, "Invalid OAuth access token.", subject=subject)


def permission_missing(subject: Subject) -> GraphError:
    """An ad account's data without the permission for it (assumed wording)."""
    message = "(#200) Ad account owner has NOT grant ads_management or ads_read permission"
    return GraphError(200, message, status=403, subject=subject)


def not_allowed(subject: Subject) -> GraphError:
    """An edge of the person without the permission for it (assumed wording)."""
    message = "(#10) Application does not have permission for this action"
    return GraphError(10, message, status=403, subject=subject)


def data_access_over(subject: Subject) -> GraphError:
    """The person was away too long: the token lives, what needs a permission does not (assumed)."""
    message = "(#10) The app's access to this person's data has expired; they must log in again"
    return GraphError(10, message, status=403, subject=subject)


def bad_parameter(message: str, subject: Subject = NO_SUBJECT) -> GraphError:
    """A parameter is missing or makes no sense."""
    return GraphError(100, f"(#100) {message}", subject=subject)


def unknown_object(name: str, subject: Subject) -> GraphError:
    """No such object, or none that the person may see (assumed wording)."""
    message = (
        f"Unsupported get request. Object with ID '{name}' does not exist, cannot be loaded due "
        "to missing permissions, or does not support this operation"
    )
    return GraphError(100, message, subcode=33, kind="GraphMethodException", subject=subject)


def too_old(subject: Subject) -> GraphError:
    """Insights of more than 37 months ago."""
    message = (
        "(#3018) The start date of the time range cannot be beyond 37 months from the current date"
    )
    return GraphError(3018, message, subject=subject)


def too_much(form: TooMuch, subject: Subject) -> GraphError:
    """More data is asked for than is given in one answer; less of it may be."""
    if form == "reduce":
        message = "Please reduce the amount of data you're asking for, then retry your request"
        return GraphError(1, message, status=500, subject=subject)
    message = "(#100) The amount of data asked for in one call is too large"  # assumed wording
    return GraphError(100, message, subcode=1487534, subject=subject)


def go_async(subject: Subject) -> GraphError:
    """A range too long for an answer at once: a report has to be asked for (assumed wording)."""
    message = "(#2) Service temporarily unavailable: the query takes too long, use a report run"
    return GraphError(2, message, subcode=1504038, status=500, subject=subject)


def report_not_ready(subject: Subject) -> GraphError:
    """The rows of a report run that is not completed (assumed)."""
    message = "(#2601) Error accessing adreport job."
    return GraphError(2601, message, subcode=1815107, subject=subject)


def unknown_path(path: str) -> GraphError:
    """No such path (assumed code); also what a path without a version comes to."""
    return GraphError(2500, f"Unknown path components: /{path}")


def version_over(newest: str) -> GraphError:
    """A version that no longer answers (assumed)."""
    message = (
        "(#2635) You are calling a deprecated version of the Ads API. "
        f"Please update to the latest version: {newest}."
    )
    return GraphError(2635, message)


def _pacific(seconds: float) -> str:
    return (
        datetime.fromtimestamp(seconds, UTC)
        .astimezone(PACIFIC)
        .strftime("%A, %d-%b-%y %H:%M:%S PST")
    )
