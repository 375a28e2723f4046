"""Refresh tokens that came too late, kept beside the account's own.

Revision ID: 0007
Revises: 0006

A late token is worth something only beside the tokens that it lost against: whatever replaces them,
or ends the grant, removes it in the same transaction, whoever writes.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_IS_OUTGROWN = "NEW.generation <> OLD.generation OR NEW.state <> 'active'"
_REMOVE = "DELETE FROM late_token WHERE account_id = NEW.id"


def upgrade() -> None:
    """Make the table, and the trigger that empties it."""
    op.create_table(
        "late_token",
        sa.Column("account_id", sa.String(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.Float(), nullable=False),
        sa.Column("refresh_token_sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("account_id"),
    )
    if op.get_bind().dialect.name != "postgresql":
        op.execute(
            "CREATE TRIGGER late_token_outgrown AFTER UPDATE OF generation, state ON account"
            f" WHEN {_IS_OUTGROWN} BEGIN {_REMOVE}; END"
        )
        return
    op.execute(
        "CREATE FUNCTION connector_late_token_outgrown() RETURNS trigger LANGUAGE plpgsql AS $$"
        f" BEGIN {_REMOVE}; RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER late_token_outgrown AFTER UPDATE OF generation, state ON account"
        f" FOR EACH ROW WHEN ({_IS_OUTGROWN}) EXECUTE FUNCTION connector_late_token_outgrown()"
    )


def downgrade() -> None:
    """Drop both."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER late_token_outgrown ON account")
        op.execute("DROP FUNCTION connector_late_token_outgrown()")
    else:
        op.execute("DROP TRIGGER late_token_outgrown")
    op.drop_table("late_token")
