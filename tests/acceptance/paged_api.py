"""An API on loopback that gives pages of a few records, and writes down each one that it gave."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

#: Records of a page.
SIZE: Final = 5


class PagedApi:
    """Answers ``/records?after=N`` with page N; with ``since`` there is nothing new.

    Args:
        pages: how many there are.
    """

    def __init__(self, pages: int) -> None:
        self.pages = pages
        self.given: Counter[int] = Counter()
        self.since: list[str] = []
        self._changed = threading.Condition()
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def wait(self, page: int, seconds: float) -> bool:
        """Wait until a page, or one beyond it, was given; tell whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: max(self.given, default=-1) >= page, seconds)

    def answer(self, query: dict[str, str]) -> object:
        """Give a page and write it down."""
        if "since" in query:
            self.since.append(query["since"])
            return {"data": [], "after": None}
        page = int(query.get("after", "0"))
        with self._changed:
            self.given[page] += 1
            self._changed.notify_all()
        records = [record(page * SIZE + place) for place in range(SIZE)]
        return {"data": records, "after": page + 1 if page + 1 < self.pages else None}


def record(number: int) -> dict[str, object]:
    """Give the record of a number."""
    return {
        "id": number,
        "name": f"record {number}",
        "share": number / 8,
        "is_even": not number % 2,
    }


class _Handler(BaseHTTPRequestHandler):
    api: PagedApi
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        is_permitted = self.headers.get("Authorization", "").startswith("Bearer ")
        query = dict(parse_qsl(urlsplit(self.path).query))
        body = self.api.answer(query) if is_permitted else {"error": "who are you?"}
        content = json.dumps(body).encode()
        self.send_response(200 if is_permitted else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        try:
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # whoever asked was killed
            self.close_connection = True

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Say nothing."""
