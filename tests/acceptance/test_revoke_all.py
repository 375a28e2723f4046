"""`connector revoke --all`, killed half-way: nothing can be used here, and the daemon goes on."""

import time

from connector.simulator import Simulator
from connector.simulator.faults import Fault

from .installation import PATIENCE, Installation

ACCOUNTS = [f"acme/ads{number}" for number in range(3)]


def test_killed_half_way_no_token_is_left_and_the_daemon_revokes_the_others(
    installation: Installation, simulator: Simulator
) -> None:
    for name in ACCOUNTS:
        installation.connect("ads", name)
    simulator.faults.add(Fault(endpoint="revoke", kind="hold", times=None))
    process = installation.start("revoke", "--all", "--yes")
    simulator.gates["gate"].wait_until_held(timeout=PATIENCE)
    process.kill()
    installation.finish(process)
    assert simulator.ledger.count("revoke", outcome="revoked") == 0, "it was killed half-way"

    for name in ACCOUNTS:
        refused = installation.run("token", name)
        assert (refused.returncode, refused.stdout) == (3, ""), refused.stderr
    kept = "access_token_sealed IS NOT NULL OR refresh_token_sealed IS NOT NULL"
    query = f"SELECT count(*) FROM account WHERE {kept}"  # noqa: S608 - our own columns
    assert installation.rows(query, database="vault.db") == [(0,)]

    simulator.faults.clear()
    simulator.gates["gate"].release()
    installation.serve()
    ends_at = time.monotonic() + PATIENCE
    while installation.rows("SELECT count(*) FROM revocation", database="vault.db") != [(0,)]:
        assert time.monotonic() < ends_at, "the debts are not settled"
        time.sleep(0.1)  # polls a file that another process writes
    assert installation.run("revoke", "--all", "--yes").stdout == "nothing to revoke\n"
