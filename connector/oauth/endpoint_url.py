"""What a URL of an authorization server may look like, and what counts as one origin.

TLS is required (RFC 6749 §3.1, §3.2; OAuth 2.1, "Communication security"); plain http is accepted
for loopback hosts only. A URL that could be taken for an option or a command is refused before
anything opens it.
"""

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

LOOPBACK_NAMES: Final = frozenset({"localhost"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def is_loopback_host(host: str) -> bool:
    """Tell whether a host is this machine: ``localhost``, 127.0.0.0/8 or ::1 (RFC 8252 §7.3)."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_endpoint_url(url: str) -> str:
    """Return the URL if an endpoint of an authorization server may have it.

    Raises:
        ValueError: it is not absolute, not https (or loopback http), has user information, a
            fragment, or a character that no URL has.
    """
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("contains a character that no URL has")
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("is not an absolute https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain user information")
    if parts.fragment or url.endswith("#"):
        raise ValueError("must not contain a fragment (RFC 6749 §3.1)")
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        raise ValueError("must be https: plain http is for loopback hosts only")
    return url


def origin_of(url: str) -> str:
    """Give scheme, host and port of a URL (RFC 6454 §4), the port always written out.

    Raises:
        ValueError: it has none.
    """
    parts = _split(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "\\" in parts.netloc:
        raise ValueError("has no http origin")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    return f"{parts.scheme}://{host}:{port}"


def _split(url: str) -> SplitResult:
    parts = urlsplit(url)
    try:
        _ = parts.port
    except ValueError:
        raise ValueError("has a port that is not a number from 0 to 65535") from None
    return parts
