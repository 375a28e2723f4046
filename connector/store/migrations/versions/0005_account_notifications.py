"""Postgres tells whoever listens that an account has changed, whoever wrote it.

Revision ID: 0005
Revises: 0004

The notice goes out with the commit, on the channel ``connector_account``; its payload is the
account's name, and both names where it was renamed. A lease that is taken is nobody's business but
its owner's; one that is given back is what the others wait for.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

#: What others act on. Every write of tokens raises the generation, so that they need no mention.
_SEEN = (
    "name",
    "provider",
    "state",
    "reason",
    "generation",
    "last_error",
    "failing_since",
    "failures",
    "retry_at",
)

_NOTIFY = """
CREATE FUNCTION connector_account_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_catalog.pg_notify('connector_account', OLD.name);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_catalog.pg_notify('connector_account', NEW.name);
    END IF;
    RETURN NULL;
END
$$
"""


def upgrade() -> None:
    """Make the triggers; SQLite counts its commits itself."""
    if op.get_bind().dialect.name != "postgresql":
        return
    before, after = (", ".join(f"{row}.{column}" for column in _SEEN) for row in ("OLD", "NEW"))
    op.execute(_NOTIFY)
    op.execute(
        "CREATE TRIGGER connector_account_came_or_went AFTER INSERT OR DELETE ON account"
        " FOR EACH ROW EXECUTE FUNCTION connector_account_changed()"
    )
    op.execute(
        "CREATE TRIGGER connector_account_changed AFTER UPDATE ON account FOR EACH ROW"
        f" WHEN (({before}) IS DISTINCT FROM ({after})"
        " OR (OLD.lease_owner IS NOT NULL AND NEW.lease_owner IS NULL))"
        " EXECUTE FUNCTION connector_account_changed()"
    )


def downgrade() -> None:
    """Drop the triggers."""
    if op.get_bind().dialect.name != "postgresql":
        return
    op.execute("DROP TRIGGER connector_account_changed ON account")
    op.execute("DROP TRIGGER connector_account_came_or_went ON account")
    op.execute("DROP FUNCTION connector_account_changed()")
