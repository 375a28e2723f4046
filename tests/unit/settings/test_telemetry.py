"""``[telemetry]``: what is there is read; what is not as it should be is told."""

from pathlib import Path

import pytest

from connector.settings import TelemetrySettings

from .configuration import load, problem

ENDPOINT = 'otlp_endpoint = "http://127.0.0.1:4318"'


def test_nothing_is_traced_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a variable of the environment either, which may be meant for another program."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    settings = load(tmp_path, "")
    assert settings.telemetry == TelemetrySettings()
    assert not settings.telemetry.otlp_endpoint
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in settings.hidden_variables


@pytest.mark.parametrize(
    "endpoint", ["https://t.example", "https://t.example/otlp", "http://[::1]:4318"]
)
def test_what_is_there_is_read(tmp_path: Path, endpoint: str) -> None:
    text = f'[telemetry]\notlp_endpoint = "{endpoint}/"\nservice_name = "x"\nheaders = "env:H"'
    settings = load(tmp_path, text)
    assert settings.telemetry.otlp_endpoint == endpoint
    assert settings.telemetry.service_name == "x"
    assert settings.telemetry.headers is not None
    assert settings.telemetry.headers.key == "telemetry.headers"
    hidden = {"H", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}
    assert hidden <= settings.hidden_variables


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ('service_name = "x"', "otlp_endpoint", "is missing"),
        ('otlp_endpoint = "http://t.example"', "otlp_endpoint", "must be https"),
        ('otlp_endpoint = "t.example:4318"', "otlp_endpoint", "not an absolute https URL"),
        ('otlp_endpoint = "https://u:p@t.example"', "otlp_endpoint", "user information"),
        ('otlp_endpoint = "https://t.example?key=x"', "otlp_endpoint", "a query"),
        ('otlp_endpoint = "https://t.example/v1/traces"', "otlp_endpoint", "what is added"),
        (f'{ENDPOINT}\nheaders = "api-key=x"', "headers", "is a literal secret"),
        (f"{ENDPOINT}\nendpoint = 1", "endpoint", "is not a known key"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, key: str, message: str) -> None:
    found = problem(tmp_path, f"[telemetry]\n{text}")
    assert found.key == f"telemetry.{key}"
    assert message in found.message
    assert found.remedy
