"""Spans by the OpenTelemetry SDK, sent in batches by its exporter (OTLP over HTTP).

The one module that imports the SDK. Nothing global is set. Where the collector is away spans are
dropped, which is told once; the libraries' own lines are not shown, for they may quote headers.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from connector import __version__
from connector.jobs.run import RunEnding
from connector.oauth.endpoint_url import is_loopback_host
from connector.settings import HttpSettings, TelemetrySettings
from connector.store.runs import Run
from connector.telemetry.telemetry import Served
from connector.time_limit import call_within
from connector.token_source.outcomes import RefreshOutcome

logger = logging.getLogger(__name__)

#: That a batch may take, retries included (seconds).
EXPORT_TIME: Final = 5.0
#: At the end of the daemon what is left is sent for so long (seconds): a restart waits for it.
FLUSH_TIME: Final = 2.0


class OtlpTelemetry:
    """Makes spans and sends them.

    Args:
        settings: where to.
        headers: of each export.
        http: proxy and certificate authorities.
    """

    def __init__(
        self, settings: TelemetrySettings, headers: Mapping[str, str], *, http: HttpSettings
    ) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)  # it may quote headers
        url = f"{settings.otlp_endpoint}/v1/traces"
        self._exporter = _TellingExporter(
            OTLPSpanExporter(
                endpoint=url,
                certificate_file=http.ca_file,
                headers=dict(headers),
                timeout=EXPORT_TIME,
                session=_session(url, http.proxy),
            ),
            url,
        )
        resource = Resource.create(
            {"service.name": settings.service_name, "service.version": __version__}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("connector", __version__)
        self._contexts = TraceContextTextMapPropagator()

    def note_request(self, told: Served) -> None:
        """Make a span of a request: the caller's, where it has told one."""
        attributes: dict[str, str | int | None] = {
            "http.request.method": told.method or "_OTHER",
            "http.route": told.route,
            "http.response.status_code": told.status,
            "error.type": str(told.status) if told.status >= 500 else None,
        }
        carrier = {"traceparent": told.traceparent} if told.traceparent else {}
        self._span(
            " ".join(filter(None, (told.method or "HTTP", told.route))),
            SpanKind.SERVER,
            attributes,
            (told.began_at, told.seconds),
            # of the caller's tracestate nothing is taken: it may hold any text
            parent=self._contexts.extract(carrier, context=Context()),
        )

    def note_refresh(self, told: RefreshOutcome) -> None:
        """Make a span of a request for new tokens."""
        attributes: dict[str, str | int | None] = {
            "connector.account": told.account,
            "connector.provider": told.provider,
            "connector.outcome": told.outcome,
            "error.type": None if told.outcome == "granted" else told.error or told.outcome,
        }
        self._span("refresh", SpanKind.CLIENT, attributes, (told.sent_at, told.seconds))

    def note_run(self, run: Run, ending: RunEnding, seconds: float) -> None:
        """Make a span of a run; what it says of its error stays here, for a program wrote that."""
        attributes: dict[str, str | int | None] = {
            "connector.job": run.job,
            "connector.run": run.id,
            "connector.account": run.account,
            "connector.outcome": ending.outcome,
            "connector.records": ending.records,
            "error.type": None if ending.outcome == "succeeded" else ending.outcome,
        }
        self._span(f"job {run.job}", SpanKind.INTERNAL, attributes, (run.started_at, seconds))

    async def aclose(self) -> None:
        """Send what is left; what takes too long is given up."""
        try:
            await asyncio.to_thread(call_within, FLUSH_TIME, self._provider.shutdown)
        except TimeoutError:
            self._exporter.tell_of_failure()
            self._exporter.shutdown()

    def _span(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | int | None],
        times: tuple[float, float],
        parent: Context | None = None,
    ) -> None:
        """Make a span.

        Args:
            name: of few that there are.
            kind: what it stands for.
            attributes: those that are None are left out; with ``error.type`` it is an error.
            times: when it began (seconds since the epoch), and how long it took (seconds).
            parent: what it is a part of; None: a trace of its own.
        """
        began_at, seconds = times
        try:
            start = int(began_at * 1e9)
            span = self._tracer.start_span(
                name,
                context=parent or Context(),
                kind=kind,
                attributes={key: value for key, value in attributes.items() if value is not None},
                start_time=start,
            )
            if attributes.get("error.type") is not None:
                span.set_status(StatusCode.ERROR)
            span.end(end_time=start + int(seconds * 1e9))
        except Exception:  # whatever is traced must go on
            logger.exception("tracing failed by a bug", extra={"action": "telemetry.bug"})


class _TellingExporter(SpanExporter):
    """Tells once that exports fail, and once that they do not any more.

    Args:
        exporter: exports.
        url: where to.
    """

    def __init__(self, exporter: SpanExporter, url: str) -> None:
        self._exporter = exporter
        self._url = url
        self._has_failed = False
        self._is_closed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export a batch; in a thread of the SDK."""
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - its text may hold headers
            result = SpanExportResult.FAILURE
        if result is not SpanExportResult.SUCCESS:
            self.tell_of_failure()
        elif self._has_failed:
            self._has_failed = False
            extra = {"action": "telemetry.back", "url": self._url}
            logger.info("the collector takes traces again", extra=extra)
        return result

    def tell_of_failure(self) -> None:
        """Tell that spans are dropped, unless that was told."""
        if not self._has_failed:
            self._has_failed = True
            extra = {"action": "telemetry.away", "url": self._url}
            logger.warning("the collector does not take traces: they are dropped", extra=extra)

    def shutdown(self) -> None:
        """Give up what is under way."""
        if not self._is_closed:
            self._is_closed = True
            self._exporter.shutdown()


def _session(url: str, proxy: str | None) -> requests.Session:
    """Make what sends: by our proxy alone, with no password of a netrc, and to nobody else."""
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    if proxy and not is_loopback_host(urlsplit(url).hostname or ""):
        session.proxies = {"http": proxy, "https": proxy}
    return session
