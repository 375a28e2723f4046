"""What came of the refreshes of the last weeks; runs and the audit trail as people look at them.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_IS_FAILED = sa.text("outcome IN ('consent_required', 'failed', 'interrupted')")


def upgrade() -> None:
    """Make the table, in SQLite in the order of its key, and the indexes."""
    op.create_table(
        "refreshes",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id", "at"),
        sqlite_with_rowid=False,
    )
    op.drop_index("ix_run_job", table_name="run")
    op.drop_index("ix_run_started_at", table_name="run")
    op.create_index("ix_run_started", "run", ["started_at", "id"])
    op.create_index("ix_run_of_job", "run", ["job", "started_at", "id", "outcome", "records"])
    op.create_index("ix_run_of_account", "run", ["account", "started_at", "id"])
    op.create_index("ix_run_of_both", "run", ["job", "account", "started_at", "id"])
    op.create_index(
        "ix_run_failed",
        "run",
        ["started_at", "id"],
        sqlite_where=_IS_FAILED,
        postgresql_where=_IS_FAILED,
    )
    op.create_index("ix_audit_of_account", "audit", ["account", "number"])
    op.create_index("ix_audit_of_event", "audit", ["event", "number"])


def downgrade() -> None:
    """Drop it, and have the indexes that were before."""
    for name in ("ix_audit_of_account", "ix_audit_of_event"):
        op.drop_index(name, table_name="audit")
    for name in ("started", "of_job", "of_account", "of_both", "failed"):
        op.drop_index(f"ix_run_{name}", table_name="run")
    op.create_index("ix_run_started_at", "run", ["started_at"])
    op.create_index("ix_run_job", "run", ["job"])
    op.drop_table("refreshes")
