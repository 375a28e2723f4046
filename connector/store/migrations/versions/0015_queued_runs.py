"""Runs that wait in a queue, are owned by heartbeat, and are taken over.

Revision ID: 0015
Revises: 0014
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_IS_RUNNING = sa.text("outcome = 'running'")
_IS_OPEN = sa.text("outcome IN ('queued', 'running')")


def _columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("attempt", sa.Integer(), nullable=False, server_default="1"),
        sa.Column("queued_at", sa.Float(), nullable=True),
        sa.Column("heartbeat_at", sa.Float(), nullable=True),
        sa.Column("host", sa.String(), nullable=True),
        sa.Column("wish", sa.String(), nullable=True),
        sa.Column("pages", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("bytes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("retries", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("rejected", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("waited", sa.Float(), nullable=False, server_default="0"),
    ]


def upgrade() -> None:
    """Add the columns; one run of a job for an account is open at a time, queued or running."""
    for column in _columns():
        op.add_column("run", column)
    op.drop_index("ix_run_running", table_name="run")
    op.create_index(
        "ix_run_open",
        "run",
        ["job", "account"],
        unique=True,
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )


def downgrade() -> None:
    """Drop them; what waits is interrupted."""
    op.execute(
        "UPDATE run SET outcome = 'interrupted', finished_at = started_at WHERE outcome = 'queued'"
    )
    op.drop_index("ix_run_open", table_name="run")
    op.create_index(
        "ix_run_running",
        "run",
        ["job", "account"],
        unique=True,
        sqlite_where=_IS_RUNNING,
        postgresql_where=_IS_RUNNING,
    )
    with op.batch_alter_table("run") as table:
        for column in reversed(_columns()):
            table.drop_column(column.name)
