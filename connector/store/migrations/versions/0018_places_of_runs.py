"""Where runs under way are.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("run", sa.Column("place", sa.String(), nullable=True))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("run") as table:
        table.drop_column("place")
