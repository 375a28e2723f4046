"""The daemon: HTTP API, timer, refresher and upkeep in one process, one event loop.

Sockets are bound and the vault is open before anything is served. At the end nothing new begins,
runs are stopped at their cursor, refreshes under way commit, and the sockets go.
"""

from connector.daemon.daemon import Daemon
from connector.daemon.service_manager import ServiceManager
from connector.daemon.signals import hold_hang_ups
from connector.daemon.worker import Worker

__all__ = ["Daemon", "ServiceManager", "Worker", "hold_hang_ups"]
