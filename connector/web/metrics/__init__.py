"""What a daemon tells a monitoring system: ``GET /metrics``, for Prometheus and its like.

Numbers only: of providers, jobs, routes and states, never of an account. Nothing below this package
knows of the library that writes them down: others count in plain numbers, or tell an observer.
"""

from connector.web.metrics.metrics import Metrics

__all__ = ["Metrics"]
