"""What of a configuration a running daemon cannot change: it belongs to what is open already.

Everything is one of the two: a key that is not named below as one that takes effect needs
a restart.
"""

import dataclasses
from typing import Final, TypeVar

from connector.errors import Problem
from connector.settings.values import DaemonSettings, Settings, TelemetrySettings, VaultSettings

Table = TypeVar("Table", VaultSettings, DaemonSettings, TelemetrySettings)

#: Of ``[vault]``, ``[daemon]`` and ``[telemetry]``; the other tables take effect as a whole.
TAKES_EFFECT: Final = frozenset(
    {
        "vault.audit_keep",
        "vault.audit_interval",
        "daemon.public_url",
        "daemon.session_idle",
        "daemon.session_lifetime",
        "daemon.history_keep",
        "daemon.runs_keep",
        "daemon.rate_limit",
        "daemon.concurrent_runs",
        "daemon.run_memory",
    }
)
#: Attributes that are no keys of their own.
_KEYS: Final = {"seal_kind": "seal", "seal_name": "seal", "password": "url"}
_REMEDY: Final = "restart it, or put it back; until then it goes on as it was"


def needs_restart(before: Settings, after: Settings) -> list[Problem]:
    """Give a problem for each key that differs and cannot take effect in a running daemon.

    Args:
        before: what is in force.
        after: what was read.
    """
    source = after.path.name
    keys = [
        *_differing("vault", before.vault, after.vault),
        *_differing("daemon", before.daemon, after.daemon),
        *_differing("telemetry", before.telemetry, after.telemetry),
    ]
    message = "has changed, and cannot while the process runs"
    return [Problem(source, key, message, _REMEDY) for key in dict.fromkeys(keys)]


def _differing(table: str, before: Table, after: Table) -> list[str]:
    names = [field.name for field in dataclasses.fields(before)]
    keys = {name: f"{table}.{_KEYS.get(name, name)}" for name in names}
    return [
        key
        for name, key in keys.items()
        if key not in TAKES_EFFECT and getattr(before, name) != getattr(after, name)
    ]
