"""Connections through a pooler of transactions (PgBouncer), which a vault on Postgres may stand by.

Such a pooler refuses, or forgets, what a connection asks of the server when it begins, and gives
the server's connection to somebody else after each transaction. So there each transaction asks for
itself, and no statement is prepared. It is found out by trying: no setting has to be made.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, event

_log: Final = logging.getLogger(__name__)
#: What PgBouncer says, of ``options`` as a whole or of one that it does not know. libpq gives no
#: code for a connection that was refused.
_REFUSED: Final = "unsupported startup parameter"


@dataclass(slots=True)
class _Found:
    is_pooled: bool = False


def allow_for_pooler(engine: Engine, settings: Mapping[str, str]) -> None:
    """Have an engine's transactions be what they are without a pooler.

    Args:
        engine: whose connections ask for the settings by ``options``.
        settings: name → value, as ``SHOW`` gives it.
    """
    found = _Found()

    def connect(dialect: Any, _record: object, given: Sequence[Any], named: dict[str, Any]) -> Any:
        if not found.is_pooled:
            try:
                made = dialect.connect(*given, **named)
            except dialect.loaded_dbapi.Error as error:
                if _REFUSED not in str(error):
                    raise
            else:
                if _has(made, settings):
                    return made
                made.close()
            found.is_pooled = True
            _log.info(
                "Postgres stands behind a pooler of transactions: each has settings of its own"
            )
        ours = {name: value for name, value in named.items() if name != "options"}
        return dialect.connect(*given, **ours | {"prepare_threshold": None})

    def begin(connection: Connection) -> None:
        if found.is_pooled:
            calls = ", ".join(f"set_config('{name}', '{v}', true)" for name, v in settings.items())
            connection.exec_driver_sql(f"SELECT {calls}")

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", begin)


def _has(made: Any, settings: Mapping[str, str]) -> bool:
    """Tell whether a connection got what it asked for."""
    wanted = " AND ".join(f"current_setting('{name}') = '{v}'" for name, v in settings.items())
    cursor = made.cursor()
    try:
        cursor.execute(f"SELECT {wanted}")
        return bool(cursor.fetchone()[0])
    finally:
        cursor.close()
        made.rollback()
