"""Accounts that are due, by index; and providers that are left alone for a while.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both; every account becomes due once its token has been used."""
    op.add_column("account", sa.Column("due_at", sa.Float(), nullable=True))
    is_due_some_day = sa.text("due_at IS NOT NULL AND state = 'active'")
    op.create_index(
        "ix_account_due",
        "account",
        ["due_at"],
        sqlite_where=is_due_some_day,
        postgresql_where=is_due_some_day,
    )
    op.create_table(
        "provider_halt",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("halted_until", sa.Float(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("rejected", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("provider"),
    )


def downgrade() -> None:
    """Remove both."""
    op.drop_table("provider_halt")
    op.drop_index("ix_account_due", table_name="account")
    op.drop_column("account", "due_at")
