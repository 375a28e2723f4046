"""SQLite notes which accounts have changed, whoever wrote them.

Revision ID: 0006
Revises: 0005

What a memory of tokens has to know of: a generation, a state or a name that is another one, and an
account that is gone. Postgres notifies of them (revision 0005); there the table stays empty.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: Ten thousand are kept; who has seen none of them takes it that anything may have changed.
_CHANGED = """
CREATE TRIGGER connector_account_changed AFTER UPDATE OF name, state, generation ON account
WHEN (OLD.name, OLD.state, OLD.generation) IS NOT (NEW.name, NEW.state, NEW.generation)
BEGIN
    INSERT INTO account_change (account) VALUES (OLD.name);
    INSERT INTO account_change (account) SELECT NEW.name WHERE NEW.name <> OLD.name;
    DELETE FROM account_change WHERE number <= (SELECT max(number) FROM account_change) - 10000;
END
"""
_WENT = """
CREATE TRIGGER connector_account_went AFTER DELETE ON account
BEGIN
    INSERT INTO account_change (account) VALUES (OLD.name);
    DELETE FROM account_change WHERE number <= (SELECT max(number) FROM account_change) - 10000;
END
"""


def upgrade() -> None:
    """Make the table and, on SQLite, the triggers."""
    op.create_table(
        "account_change",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("account", sa.String(), nullable=False),
    )
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(_CHANGED)
    op.execute(_WENT)


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER connector_account_went")
        op.execute("DROP TRIGGER connector_account_changed")
    op.drop_table("account_change")
