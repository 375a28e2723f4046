"""Which redirect URIs the app may use: an exact list, and loopback while it is in development.

The real provider compares whole strings and allows plain http on localhost only for apps in
development mode.
"""

from urllib.parse import urlsplit

from connector.simulator.oauth.client import is_loopback_callback
from connector.simulator.settings import Settings

DEVELOPMENT_HOSTS = frozenset({"localhost", "127.0.0.1"})


def is_allowed(redirect_uri: str, settings: Settings) -> bool:
    """Whether the dialog may send people there."""
    if redirect_uri in settings.app_redirect_uris:
        return True
    return (
        settings.development_mode
        and is_loopback_callback(redirect_uri)
        and urlsplit(redirect_uri).hostname in DEVELOPMENT_HOSTS
    )
