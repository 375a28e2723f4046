"""How many values each data key has sealed.

Revision ID: 0008
Revises: 0007

What was sealed before is not known. No more than three values were sealed for each generation of an
account; so many are counted.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    count = sa.Column("seals", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("vault_key", count)
    op.execute(
        "UPDATE vault_key SET seals = (SELECT coalesce(sum(generation), 0) * 3 FROM account)"
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_column("vault_key", "seals")
