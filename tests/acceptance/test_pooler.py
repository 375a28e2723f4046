"""Daemons and workers whose vault and queue stand behind a real PgBouncer in transaction mode."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.pgbouncer import pooled

from .test_several_hosts import ACCOUNTS, hosts_on, wait_for


@pytest.mark.timeout(200)
def test_slots_are_run_once_behind_a_pooler(tmp_path: Path, postgres_vault_url: str) -> None:
    """Leases, the queue, its heartbeats and the tokens of runs need no session of the server's."""
    with pooled(make_url(postgres_vault_url), more="default_pool_size = 6") as between:
        url = between.render_as_string(hide_password=False)
        with hosts_on(tmp_path, url) as hosts:
            hosts.start("serve", "worker")
            wait_for(
                lambda: len(hosts.runs("outcome = 'succeeded'")) >= 2 * len(ACCOUNTS), hosts.logs
            )
            runs = hosts.runs("outcome = 'succeeded'")
            slots = Counter((run["account"], run["due_at"]) for run in runs)
            assert set(slots.values()) == {1}
            assert {run["attempt"] for run in runs} == {1}
            assert "behind a pooler" in hosts.logs()
            assert not hosts.runs("outcome IN ('failed', 'interrupted')")
