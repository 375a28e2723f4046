"""Runs migrations on a connection that `store.schema` hands over; there is no offline mode."""

from alembic import context
from sqlmodel import SQLModel

from connector.store import (  # noqa: F401 - registers the tables
    history_tables,
    notice_tables,
    tables,
)

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
