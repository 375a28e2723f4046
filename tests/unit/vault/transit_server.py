"""A server on loopback that answers as the Transit secrets engine does, faults included.

After https://developer.hashicorp.com/vault/api-docs/secret/transit: keys have versions, values are
``vault:vN:base64``, errors are ``{"errors": […]}``.
"""

import base64
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

TOKEN: Final = "hvs.a-token-of-ours"


class TransitServer:
    """The server.

    Attributes:
        keys: name → its versions, the first being 1.
        received: (path, headers, body) of all that was asked.
        status, body: answered instead of the truth, where set.
        headers: sent besides.
        ignores_binding: it is too old for associated data.
        hold: while it is not set, nothing is answered.
    """

    def __init__(self) -> None:
        self.keys: dict[str, list[bytes]] = {}
        self.received: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.status: int | None = None
        self.body: bytes | None = None
        self.headers: dict[str, str] = {}
        self.ignores_binding = False
        self.hold = threading.Event()
        self.hold.set()
        transit = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, body = transit.answer(self.path, headers, json.loads(content))
                self.send_response(status)
                for name, value in transit.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

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
        self.hold.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def make_key(self, name: str) -> None:
        """Make a key, or a new version of one that there is."""
        self.keys.setdefault(name, []).append(os.urandom(32))

    def answer(
        self, path: str, headers: dict[str, str], asked: dict[str, Any]
    ) -> tuple[int, bytes]:
        self.received.append((path, headers, asked))
        self.hold.wait(30)
        status, value = self._answer(path, headers, asked)
        body = json.dumps(value).encode() if self.body is None else self.body
        return (self.status or status, body)

    def _answer(
        self, path: str, headers: dict[str, str], asked: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        if headers.get("x-vault-token") != TOKEN:
            return 403, {"errors": ["permission denied"]}
        version, mount, verb, name = path.strip("/").split("/")
        if (version, mount) != ("v1", "transit"):
            return 404, {
                "errors": [f'no handler for route "{mount}/{verb}". route entry not found.']
            }
        if name not in self.keys:
            return 400, {"errors": ["encryption key not found"]}
        binding = b"" if self.ignores_binding else base64.b64decode(asked["associated_data"])
        versions = self.keys[name]
        if verb == "encrypt":
            nonce = os.urandom(12)
            sealed = AESGCM(versions[-1]).encrypt(
                nonce, base64.b64decode(asked["plaintext"]), binding
            )
            text = base64.b64encode(nonce + sealed).decode()
            data = {"ciphertext": f"vault:v{len(versions)}:{text}", "key_version": len(versions)}
            return 200, {"data": data}
        number, text = asked["ciphertext"].removeprefix("vault:v").split(":")
        raw = base64.b64decode(text)
        try:
            plaintext = AESGCM(versions[int(number) - 1]).decrypt(raw[:12], raw[12:], binding)
        except (InvalidTag, IndexError):
            return 400, {"errors": ["cipher: message authentication failed"]}
        return 200, {"data": {"plaintext": base64.b64encode(plaintext).decode()}}
