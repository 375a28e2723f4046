"""The way to a running simulator's control routes; standard library only."""

import http.client
import json
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlencode, urlsplit

# What the server waits at most, and a little for the way.
DEADLINE = 90.0


class ControlError(Exception):
    """The simulator refused a control request; the message is its own."""


class ControlLink:
    """One running simulator, by its control_url and control_key."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._key = key

    def turn(self, path: str, values: Mapping[str, object]) -> int:
        """Work a knob that answers with a count.

        Raises:
            ControlError: the simulator refuses.
        """
        return cast("int", self.post(path, values)["count"])

    def get(self, path: str, query: Mapping[str, str | None] | None = None) -> Mapping[str, object]:
        """Read; a None in the query is left out.

        Raises:
            ControlError: the simulator refuses.
        """
        chosen = {name: value for name, value in (query or {}).items() if value is not None}
        return self._send("GET", f"{path}?{urlencode(chosen)}" if chosen else path, None)

    def post(self, path: str, values: Mapping[str, object]) -> Mapping[str, object]:
        """Write.

        Raises:
            ControlError: the simulator refuses.
        """
        return self._send("POST", path, json.dumps(dict(values)))

    def _send(self, method: str, path: str, body: str | None) -> Mapping[str, object]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=DEADLINE)
        headers = {"Authorization": f"Bearer {self._key}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, f"{self._path}/{path}", body=body, headers=headers)
            response = connection.getresponse()
            content = json.loads(response.read())
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise ControlError(content["error"])
        return cast("Mapping[str, object]", content)
