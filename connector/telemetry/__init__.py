"""Traces of the daemon, for whoever has configured a collector of them (OpenTelemetry, an extra).

A span is made after the fact, of plain values: nothing here stands in the way of a request, and no
context is handed on, to a provider least of all. A span has names, routes and numbers, as the log
has, never a token, a path as it was asked for, or a query.
"""

from connector.telemetry.telemetry import Served, Telemetry, open_telemetry

__all__ = ["Served", "Telemetry", "open_telemetry"]
