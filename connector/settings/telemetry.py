"""Reads ``[telemetry]``: where traces go; whether anybody is there is found in use."""

from typing import Final
from urllib.parse import urlsplit

from connector.oauth.endpoint_url import check_endpoint_url
from connector.settings.values import TelemetrySettings
from connector.toml_section import Section

DEFAULT_SERVICE_NAME: Final = TelemetrySettings().service_name
_REMEDY: Final = 'write otlp_endpoint = "http://127.0.0.1:4318", without /v1/traces'


def read_telemetry(section: Section, *, allow_plaintext: bool = False) -> TelemetrySettings:
    """Read ``[telemetry]``.

    Args:
        section: the table.
        allow_plaintext: literal headers are accepted.
    """
    endpoint = section.text("otlp_endpoint").rstrip("/")
    if endpoint:
        _check_endpoint(section, endpoint)
    elif section.table:
        section.problem("otlp_endpoint", "is missing", _REMEDY)
    settings = TelemetrySettings(
        otlp_endpoint=endpoint,
        service_name=section.text("service_name") or DEFAULT_SERVICE_NAME,
        headers=section.secret("headers", allow_plaintext=allow_plaintext),
    )
    section.finish()
    return settings


def _check_endpoint(section: Section, url: str) -> None:
    try:
        check_endpoint_url(url)
    except ValueError as error:
        section.problem("otlp_endpoint", str(error), _REMEDY)
        return
    parts = urlsplit(url)
    if parts.query or "?" in url:
        section.problem("otlp_endpoint", "must not have a query", "put what is secret in headers")
    elif parts.path.endswith("/v1/traces"):
        section.problem("otlp_endpoint", "ends in what is added to it", _REMEDY)
