"""A collector of traces on loopback: takes OTLP over HTTP, and keeps what it was sent."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Final, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

#: No export takes longer on a busy machine (seconds).
_PATIENCE: Final = 60.0


class Collector:
    """Takes spans.

    Args:
        port: where it listens; 0: on any that is free.

    Attributes:
        status: that it answers.
        bodies: what it took, as it came.
        headers: of each export.
        refused: exports that it did not take.
    """

    def __init__(self, port: int = 0) -> None:
        self.status = 200
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.refused = 0
        self._changed = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status = collector.take(self.path, headers, body)
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Keep an export, or refuse it."""
        with self._changed:
            status = self.status if path == "/v1/traces" else 404
            if status == 200:
                self.headers.append(headers)
                self.bodies.append(body)
            else:
                self.refused += 1
            self._changed.notify_all()
            return status

    def spans(self) -> list[Span]:
        """Give all spans that were taken."""
        return [
            span
            for resource in self._resources()
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def services(self) -> set[str]:
        """Give the names of the services that sent them."""
        return {
            attribute.value.string_value
            for resource in self._resources()
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }

    def wait_for(self, name: str) -> Span:
        """Wait for a span of this name; give the first."""

        def find() -> Span | None:
            return next((span for span in self.spans() if span.name == name), None)

        with self._changed:
            found = self._changed.wait_for(find, _PATIENCE)
        assert found is not None, [span.name for span in self.spans()]
        return found

    def wait_for_refusals(self, count: int) -> None:
        """Wait until so many exports were not taken."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.refused >= count, _PATIENCE)

    def _resources(self) -> Iterator[ResourceSpans]:
        for body in self.bodies:
            yield from ExportTraceServiceRequest.FromString(body).resource_spans


def attributes(span: Span) -> dict[str, str | int]:
    """Give a span's attributes."""
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
