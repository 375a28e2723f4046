"""Alembic's side of the store; `store.schema` runs it."""
