"""Notices, their deliveries, and how what calls for them is found among many accounts.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables and the indexes."""
    op.create_table(
        "notice",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("since", sa.Float(), nullable=False),
        sa.Column("account_id", sa.String(), nullable=True),
        sa.Column("account", sa.String(), nullable=True),
        sa.Column("provider", sa.String(), nullable=True),
        sa.Column("job", sa.String(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.Float(), nullable=True),
        sa.Column("count", sa.Integer(), nullable=True),
        sa.Column("part_of", sa.String(), nullable=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("first_seen", sa.Float(), nullable=False),
        sa.Column("told_at", sa.Float(), nullable=False),
        sa.Column("told_count", sa.Integer(), nullable=False),
        sa.Column("remind_at", sa.Float(), nullable=True),
        sa.Column("reminders", sa.Integer(), nullable=False),
        sa.Column("gone_at", sa.Float(), nullable=True),
        sa.Column("resolved_at", sa.Float(), nullable=True),
        sa.Column("closed_at", sa.Float(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    is_open = sa.text("resolved_at IS NULL")
    op.create_index(
        "ix_notice_open",
        "notice",
        ["key"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
    is_told = sa.text("closed_at IS NULL AND part_of IS NULL")
    op.create_index(
        "ix_notice_told", "notice", ["told_at"], sqlite_where=is_told, postgresql_where=is_told
    )
    op.create_index("ix_notice_part_of", "notice", ["part_of"])
    op.create_table(
        "notice_delivery",
        sa.Column("notice_id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.Float(), nullable=False),
        sa.Column("claimed_by", sa.String(), nullable=True),
        sa.Column("claimed_until", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("notice_id", "channel"),
    )
    for name, column, condition in (
        ("ix_account_needs_consent", "state_since", "state = 'consent_required'"),
        (
            "ix_account_consent_ends",
            "consent_ends_at",
            "consent_ends_at IS NOT NULL AND state = 'active'",
        ),
        ("ix_account_failing", "failing_since", "failing_since IS NOT NULL AND state = 'active'"),
    ):
        where = sa.text(condition)
        op.create_index(name, "account", [column], sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """Drop all of it."""
    for name in ("failing", "consent_ends", "needs_consent"):
        op.drop_index(f"ix_account_{name}", table_name="account")
    op.drop_table("notice_delivery")
    op.drop_table("notice")
