"""What is told to whoever traces, and whether anybody does."""

from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote

from connector.errors import ConfigurationError, Problem
from connector.jobs.run import RunEnding
from connector.settings import Settings
from connector.store.runs import Run
from connector.token_source.outcomes import RefreshOutcome

#: What the extra brings.
_PACKAGES: Final = ("opentelemetry", "google", "requests")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A request that was answered.

    Attributes:
        method: one that HTTP knows; None: another one.
        route: the template of its route; None: no route has answered.
        status: of the answer.
        began_at: seconds since the epoch.
        seconds: from the request's head to the end of its answer.
        traceparent: of the caller, as it was sent (W3C Trace Context §3.2).
    """

    method: str | None
    route: str | None
    status: int
    began_at: float
    seconds: float
    traceparent: str | None


class Telemetry(Protocol):
    """Takes what has happened; is quick, and raises nothing."""

    def note_request(self, told: Served) -> None:
        """Take a request."""

    def note_refresh(self, told: RefreshOutcome) -> None:
        """Take a refresh."""

    def note_run(self, run: Run, ending: RunEnding, seconds: float) -> None:
        """Take a run of a job."""

    async def aclose(self) -> None:
        """Send what is left, for a short time."""


def open_telemetry(settings: Settings) -> Telemetry | None:
    """Give what takes traces; None: nothing is traced, and nothing of the SDK is imported.

    Args:
        settings: the configuration.

    Raises:
        ConfigurationError: the extra is not installed, or the headers cannot be had.
    """
    if not settings.telemetry.otlp_endpoint:
        return None
    source = settings.path.name
    try:
        from connector.telemetry.otlp import OtlpTelemetry
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        message = "needs the OpenTelemetry SDK and its exporter"
        remedy = "type: pip install 'connector[opentelemetry]'"
        problem = Problem(source, "telemetry.otlp_endpoint", message, remedy)
        raise ConfigurationError([problem]) from None
    return OtlpTelemetry(settings.telemetry, _headers(settings), http=settings.http)


def _headers(settings: Settings) -> dict[str, str]:
    """Read the headers of exports (OpenTelemetry, "Specifying headers via environment variables").

    Raises:
        ConfigurationError: they are not there, or are none.
    """
    reference = settings.telemetry.headers
    if reference is None:
        return {}
    headers: dict[str, str] = {}
    for part in reference.resolve().reveal().split(","):
        name, equals, value = part.partition("=")
        name, value = unquote(name).strip(), unquote(value).strip()
        if not (name and equals and f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
            problem = Problem(
                settings.path.name,
                "telemetry.headers",
                "leads to what is no list of headers",
                "write NAME=VALUE, separated by commas, special characters percent-encoded",
            )
            raise ConfigurationError([problem])
        headers[name] = value
    return headers
