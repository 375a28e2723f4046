"""config.toml and the environment, read into frozen values; all problems are told at once."""

from connector.settings.load import find_configuration, load_settings
from connector.settings.values import (
    DaemonSettings,
    DestinationSettings,
    HttpSettings,
    JobSettings,
    NotifySettings,
    Settings,
    TelemetrySettings,
    VaultSettings,
)

__all__ = [
    "DaemonSettings",
    "DestinationSettings",
    "HttpSettings",
    "JobSettings",
    "NotifySettings",
    "Settings",
    "TelemetrySettings",
    "VaultSettings",
    "find_configuration",
    "load_settings",
]
