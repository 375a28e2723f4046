"""How a database would answer a query."""

from sqlalchemy import Executable, text

from connector.store.database import Database


async def explain(database: Database, query: Executable) -> str:
    """Give the plan of a query, with what the database has learnt of its tables."""
    dialect = database.engine.dialect
    sql = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))  # type: ignore[attr-defined]
    async with database.write() as connection:
        await connection.execute(text("ANALYZE"))
        kind = "EXPLAIN QUERY PLAN" if database.is_sqlite else "EXPLAIN"
        rows = (await connection.exec_driver_sql(f"{kind} {sql}")).all()
    return "\n".join(str(row[-1]) for row in rows)
