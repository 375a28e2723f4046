"""PgBouncer between us and Postgres, in transaction mode: the strictest that is in wide use.

A machine without it says so loudly and skips (Debian: ``apt-get install pgbouncer``).
"""

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy.engine import URL

#: Two connections to the server for all clients, so that they get each other's.
_POOL: Final = 2
#: It starts in milliseconds (seconds).
_PATIENCE: Final = 20.0


@contextmanager
def pooled(url: URL, *, more: str = "") -> Iterator[URL]:
    """Give a database's URL through a pooler of transactions.

    Args:
        url: of the database itself.
        more: lines of its configuration.
    """
    binary = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if binary is None:
        pytest.skip("NO POOLER: these tests need PgBouncer (Debian: apt-get install pgbouncer)")
    folder = Path(tempfile.mkdtemp(prefix="connector-pgbouncer-"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    host = url.query.get("host") or url.host
    given = {"host": host, "port": url.port, "user": url.username, "password": url.password}
    server = " ".join(f"{name}='{value}'" for name, value in given.items() if value)
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
        f"unix_socket_dir =\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = {_POOL}\nserver_login_retry = 1\n{more}\n"
    )
    command = [binary, "-q", str(folder / "pgbouncer.ini")]
    if os.geteuid() == 0:  # it refuses to run as root, and has to reach the server's socket
        is_socket = str(host).startswith("/")
        owner = pwd.getpwuid(Path(str(host)).stat().st_uid).pw_name if is_socket else "nobody"
        command[1:1] = ["-u", owner]
        folder.chmod(0o755)
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        _wait(process, port)
        yield URL.create(
            "postgresql",
            username=url.username or getpass.getuser(),
            host="127.0.0.1",
            port=port,
            database=url.database,
        )
    finally:
        process.kill()
        process.communicate()
        shutil.rmtree(folder)


def _wait(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Wait until it listens."""
    give_up_at = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up_at and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    process.kill()
    raise AssertionError(f"pgbouncer did not start: {process.communicate()[1].decode()}")
