"""One run of a job for an account at a time, kept by the database itself.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow one running row; of several that stand there, the oldest are over."""
    op.execute(
        "UPDATE run SET outcome = 'interrupted', finished_at = started_at"
        " WHERE outcome = 'running' AND EXISTS (SELECT 1 FROM run AS later"
        " WHERE later.job = run.job AND later.account = run.account"
        " AND later.outcome = 'running' AND (later.started_at > run.started_at"
        " OR (later.started_at = run.started_at AND later.id > run.id)))"
    )
    is_running = sa.text("outcome = 'running'")
    op.create_index(
        "ix_run_running",
        "run",
        ["job", "account"],
        unique=True,
        sqlite_where=is_running,
        postgresql_where=is_running,
    )


def downgrade() -> None:
    """Drop the rule."""
    op.drop_index("ix_run_running", table_name="run")
