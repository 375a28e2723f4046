"""Lanes of backfills, what runs said, and the last slot of each job.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_IS_OPEN = sa.text("outcome IN ('queued', 'running')")


def upgrade() -> None:
    """Add table and columns; the last slot of a job is that of its runs."""
    op.add_column("run", sa.Column("lane", sa.String(), nullable=False, server_default=""))
    _index_open("job", "account", "lane")
    op.add_column("job", sa.Column("slot_at", sa.Float(), nullable=True))
    op.execute(
        "INSERT INTO job (name) SELECT DISTINCT job FROM run WHERE due_at IS NOT NULL"
        " AND job NOT IN (SELECT name FROM job)"
    )
    op.execute("UPDATE job SET slot_at = (SELECT max(due_at) FROM run WHERE run.job = job.name)")
    op.create_table(
        "run_log",
        sa.Column("run_id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "number"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop them; backfills under way are interrupted."""
    op.drop_table("run_log")
    op.execute(
        "UPDATE run SET outcome = 'interrupted', finished_at = started_at"
        " WHERE lane <> '' AND outcome IN ('queued', 'running')"
    )
    _index_open("job", "account")
    op.execute("DELETE FROM job WHERE paused_at IS NULL")
    with op.batch_alter_table("job") as table:
        table.drop_column("slot_at")
    with op.batch_alter_table("run") as table:
        table.drop_column("lane")


def _index_open(*columns: str) -> None:
    op.drop_index("ix_run_open", table_name="run")
    op.create_index(
        "ix_run_open",
        "run",
        list(columns),
        unique=True,
        sqlite_where=_IS_OPEN,
        postgresql_where=_IS_OPEN,
    )
