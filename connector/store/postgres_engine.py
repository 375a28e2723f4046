"""Engines for Postgres, and what each of their connections asks of the server."""

from typing import Final

from sqlalchemy import Engine, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from connector.store.pooler import allow_for_pooler

POOL_SIZE: Final = 4

#: Postgres ends what takes longer, so that no lock outlives its use; and a commit is durable there
#: whatever the server's default, because a rotated token cannot be had twice (CHECKLIST 136).
_SETTINGS: Final = {
    "statement_timeout": "15s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "synchronous_commit": "on",
}
_POSTGRES_OPTIONS: Final = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
#: A server that the network does not lead to any more is given up after about half a minute; the
#: system's own time for that is hours.
_NETWORK: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def postgres_engine(url: URL, busy_timeout: float) -> AsyncEngine:
    """Make an engine of the asynchronous face.

    Args:
        url: ``postgresql://…``.
        busy_timeout: seconds to wait for a connection.
    """
    engine = create_async_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        # of the hundred that a server takes by default, for all processes
        pool_size=POOL_SIZE,
        max_overflow=0,
        pool_timeout=busy_timeout,
        connect_args=postgres_parameters(url, busy_timeout),
    )
    allow_for_pooler(engine.sync_engine, _SETTINGS)
    return engine


def postgres_thread_engine(url: URL, busy_timeout: float) -> Engine:
    """Make an engine of one connection, for a thread of its own; arguments as above."""
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=1,
        max_overflow=0,
        connect_args=postgres_parameters(url, busy_timeout),
    )
    allow_for_pooler(engine, _SETTINGS)
    return engine


def postgres_parameters(url: URL, busy_timeout: float) -> dict[str, object]:
    """Give what each connection asks for besides what its URL says; arguments as above."""
    own = url.query.get("options", "")
    own_options = own if isinstance(own, str) else " ".join(own)
    network = {name: value for name, value in _NETWORK.items() if name not in url.query}
    return network | {
        "options": f"{own_options} {_POSTGRES_OPTIONS}".strip(),
        "connect_timeout": max(1, int(busy_timeout)),
        # a standby may be behind: what it says of a token must not be believed
        "target_session_attrs": "read-write",
    }
