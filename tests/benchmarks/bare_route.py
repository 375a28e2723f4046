"""The least that Starlette and uvicorn do for a token route: ``bare_route PORT SOCKET``.

One route, one object turned to JSON, nobody asked who they are; the server is set up as Connector's
is. The object is read from standard input.
"""

import asyncio
import json
import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from uvicorn.protocols.http.h11_impl import H11Protocol


def main() -> None:
    """Serve until killed."""
    port, path = int(sys.argv[1]), sys.argv[2]
    token = json.load(sys.stdin)

    async def answer(_request: Request) -> Response:
        return JSONResponse(token, headers={"Cache-Control": "no-store"})

    app = Starlette(routes=[Route("/v1/accounts/{account:path}/token", answer, methods=["GET"])])
    config = uvicorn.Config(
        app,
        http=H11Protocol,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        h11_max_incomplete_event_size=64 * 1024,
    )
    # the protocol is named: asyncio turns Nagle's algorithm off only where it sees TCP
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    tcp.bind(("127.0.0.1", port))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    asyncio.run(uvicorn.Server(config).serve(sockets=[tcp, unix]))


if __name__ == "__main__":
    main()
