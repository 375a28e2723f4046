"""Our own files for pages: each has the hash of its content in its name, and is kept for ever."""

import functools
import hashlib
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

#: A name that holds its content's hash never means anything else (RFC 8246).
_CACHE: Final = "public, max-age=31536000, immutable"
_KINDS: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_FILES: Final = ("dashboard.css", "icon.svg", "live.js")


def static_path(name: str) -> str:
    """Give the path of a file of `connector/web/static`, such as ``live.js``."""
    return f"/static/{_paths()[name]}"


async def serve_static(request: Request) -> Response:
    """Give a file."""
    content = _contents().get(request.path_params["name"])
    if content is None:
        return PlainTextResponse("there is no such file\n", 404, {"Cache-Control": "no-store"})
    kind = _KINDS[request.path_params["name"].rpartition(".")[2]]
    headers = {
        "Cache-Control": _CACHE,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
    }
    return Response(content, media_type=kind, headers=headers)


@functools.cache
def _paths() -> dict[str, str]:
    """Give the name that each file is served under."""
    paths = {}
    for name in _FILES:
        stem, _, suffix = name.rpartition(".")
        paths[name] = f"{stem}.{hashlib.sha256(_read(name)).hexdigest()[:16]}.{suffix}"
    return paths


@functools.cache
def _contents() -> dict[str, bytes]:
    return {path: _read(name) for name, path in _paths().items()}


def _read(name: str) -> bytes:
    return (resources.files("connector.web") / "static" / name).read_bytes()
