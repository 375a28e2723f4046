"""When a run has to be over, so that one whose owner nobody can look at ends.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; what runs now has none."""
    op.add_column("run", sa.Column("deadline_at", sa.Float(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("run", "deadline_at")
