"""What the demonstration claims is read off where it can be seen: databases, and the ledger.

The simulator keeps the truth of its figures and counts what reaches its token endpoint; the vault's
database shows everything but the secrets.
"""

import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from connector.cli.demo.stage import Place

#: Both ad accounts of the person that consents, and how each API writes a row's day and spend.
AD_ACCOUNTS: Final = ("act_1001", "act_1002")
FIRST_PULL: Final = timedelta(days=6)

_Row = tuple[str, str, int]


class Evidence:
    """Looks things up.

    Args:
        folder: of the configuration.
        place: where the simulator is.
    """

    def __init__(self, folder: Path, place: Place) -> None:
        from connector.simulator import Control

        self._folder = folder
        self.control = Control(place["control_url"], place["control_key"])

    def account(self, name: str) -> tuple[str, float | None, float | None]:
        """Give an account's state, the end of its access token, and that token's lifetime."""
        with closing(_read_only(self._folder / "vault.db")) as connection:
            row = connection.execute(
                "SELECT state, expires_at, lifetime FROM account WHERE name = ?", (name,)
            ).fetchone()
        return row[0], row[1], row[2]

    def row_count(self, table: str) -> int:
        """Give how many rows a destination table has; zero where there is none yet."""
        return len(self.rows(table))

    def rows(self, table: str) -> list[_Row]:
        """Give day, ad and impressions of every row of a destination table, in order."""
        path = self._folder / "ads.db"
        if not path.exists():
            return []
        day = "date_start" if table == "facebook" else "date"
        query = f"SELECT {day}, ad_id, impressions FROM {table} ORDER BY 1, 2"  # noqa: S608 - ours
        with closing(_read_only(path)) as connection:
            try:
                return [(row[0], row[1], int(row[2])) for row in connection.execute(query)]
            except sqlite3.OperationalError:  # the first run has not written yet
                return []

    def expected_rows(self, table: str, until: date) -> list[_Row]:
        """Give what the simulator's ledger says that these rows must be."""
        is_graph = table == "facebook"
        day = "date_start" if is_graph else "date"
        found: list[_Row] = []
        for ad_account in AD_ACCOUNTS:
            rows = self.control.expected_rows(
                ad_account, until - FIRST_PULL, until, "graph" if is_graph else "api"
            )
            found += [(str(r[day]), str(r["ad_id"]), int(str(r["impressions"]))) for r in rows]
        return sorted(found)


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True)
