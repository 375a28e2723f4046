"""What `Connector`, the command line and the daemon are made of: all objects of one process.

A `Runtime` belongs to one event loop. It is opened from a configuration, and closed in the order
that loses nothing: refreshes under way commit first.
"""

from connector.runtime.credentials import RuntimeCredentials
from connector.runtime.objects import Runtime
from connector.runtime.opening import configured_seal, open_runtime
from connector.runtime.preparing import Prepared, prepare

__all__ = [
    "Prepared",
    "Runtime",
    "RuntimeCredentials",
    "configured_seal",
    "open_runtime",
    "prepare",
]
