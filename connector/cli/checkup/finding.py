"""What one check found: as it should be, worth a warning, or a problem, and what to do."""

from dataclasses import dataclass
from typing import Literal

from connector.errors import ConnectorError

Verdict = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        subject: what was checked.
        verdict: whether it is as it should be.
        message: what was found.
        remedy: what to do.
        exit_code: of the error behind a problem.
    """

    subject: str
    verdict: Verdict
    message: str
    remedy: str = ""
    exit_code: int = 2

    def view(self) -> dict[str, str]:
        """Give it as a JSON object."""
        return {
            "subject": self.subject,
            "verdict": self.verdict,
            "message": self.message,
            "remedy": self.remedy,
        }


def ok(subject: str, message: str) -> Finding:
    """Say that all is well."""
    return Finding(subject=subject, verdict="ok", message=message)


def warning(subject: str, message: str, remedy: str) -> Finding:
    """Say what is not as it should be, and keeps nothing from working."""
    return Finding(subject=subject, verdict="warning", message=message, remedy=remedy)


def problem(subject: str, error: ConnectorError) -> Finding:
    """Say what keeps something from working."""
    return Finding(
        subject=subject, verdict="problem", message=str(error), exit_code=error.exit_code
    )
