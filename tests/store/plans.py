"""How a database would answer a query."""

from typing import Any

from sqlalchemy import text

from connector.store.database import Database


async def explain(database: Database, query: Any) -> str:
    """Give the plan of a query, with what the database has learnt of its tables.

    Parameters stay parameters, as they are when the program asks: a partial index is of no use to
    a query whose condition is one.
    """
    dialect = database.engine.dialect
    compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    values: dict[str, Any] = compiled.params
    names = compiled.positiontup
    parameters = values if names is None else tuple(values[name] for name in names)
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
        kind = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        rows = (await connection.exec_driver_sql(f"{kind} {compiled}", parameters)).all()
    return "\n".join(str(row[-1]) for row in rows)
