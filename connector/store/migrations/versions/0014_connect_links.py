"""Connect links that outlive the consents begun from them.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; a consent is no longer found by a link."""
    op.create_table(
        "connect_link",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ticket_hash", sa.String(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("code_hash", sa.String(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("new_account", sa.String(), nullable=True),
        sa.Column("browser_hash", sa.String(), nullable=True),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("ticket_hash"),
        sa.UniqueConstraint("browser_hash"),
    )
    op.create_index("ix_connect_link_expires_at", "connect_link", ["expires_at"])
    with op.batch_alter_table("consent") as consent:
        consent.drop_column("ticket_hash")


def downgrade() -> None:
    """Drop it."""
    op.drop_table("connect_link")
    with op.batch_alter_table("consent") as consent:
        consent.add_column(sa.Column("ticket_hash", sa.String(), nullable=True))
        consent.create_unique_constraint("consent_ticket_hash_key", ["ticket_hash"])
