"""OAuth error answers (RFC 6749 §5.2)."""

from collections.abc import Mapping

from connector.simulator.call import (
    NO_STORE,
    NO_SUBJECT,
    RefusedError,
    Reply,
    Subject,
    json_response,
)


class OAuthError(RefusedError):
    """A back-channel request is refused with an error of RFC 6749 §5.2 or its extensions."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = 400,
        headers: Mapping[str, str] | None = None,
        outcome: str | None = None,
        subject: Subject = NO_SUBJECT,
    ) -> None:
        body = {"error": error, "error_description": description}
        response = json_response(body, status=status, headers={**NO_STORE, **(headers or {})})
        super().__init__(Reply(response=response, outcome=outcome or error, subject=subject))
        self.error = error
        self.description = description

    def with_status(self, status: int) -> "OAuthError":
        """The same refusal under another HTTP status."""
        return OAuthError(
            self.error,
            self.description,
            status=status,
            outcome=self.reply.outcome,
            subject=self.reply.subject,
        )
