"""The Facebook example on its schedule: a person who takes consent back does not stop the other."""

import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path

from connector.simulator import CallSelection, Settings, Simulator
from connector.simulator.options import changed

from .facebook_example import USUAL, FacebookExample
from .forked import Nursery

PATIENCE = 90.0
ADA, GRACE = "acme/ada", "acme/grace"


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    ends_at = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends_at, what
        time.sleep(0.2)  # polls what another process writes


def test_one_consent_that_ends_does_not_stop_the_other(tmp_path: Path, nursery: Nursery) -> None:
    with (
        Simulator(changed(Settings(), USUAL)) as simulator,
        FacebookExample(tmp_path / "example", simulator, nursery) as example,
    ):
        every_second(example)
        assert example.run("init").returncode == 0
        example.connect("facebook", ADA)
        example.connect("facebook", GRACE, person="grace")
        daemon = example.serve()

        def runs(account: str, outcome: str = "succeeded") -> int:
            query = f"SELECT outcome FROM run WHERE account = '{account}'"  # noqa: S608
            return example.rows(query, database="vault.db").count((outcome,))

        wait_until(lambda: runs(ADA) > 0 < runs(GRACE), "neither is pulled")
        simulator.facebook.remove_app("ada")

        wait_until(lambda: runs(ADA, "consent_required") > 0, "it goes on without consent")
        by_then = simulator.facebook.calls.last_number
        goes_on = runs(GRACE) + 2
        wait_until(lambda: runs(GRACE) >= goes_on, "the other stopped too")
        calls = simulator.facebook.calls.calls(CallSelection(since_number=by_then))
        assert {call.person for call in calls if call.edge == "insights"} == {"grace"}

        notices = json.loads(example.run("notices", "--json").stdout)
        told = [one for one in notices if ADA in json.dumps(one)]
        assert told, notices
        assert not [one for one in notices if GRACE in json.dumps(one)]

        before = runs(ADA)
        example.connect("facebook", ADA)
        wait_until(lambda: runs(ADA) > before, "it is not gone on with")
        status, _, log = example.stop(daemon)
        assert status == 0, log
        example.note_today("ada", "grace")
        for account, accounts in ((ADA, ("1001", "1002")), (GRACE, ("2001", "2002"))):
            query = (
                f"SELECT DISTINCT account_id FROM insights WHERE _account = '{account}' ORDER BY 1"  # noqa: S608
            )
            assert tuple(row[0] for row in example.rows(query)) == accounts
        example.assert_whole()


def test_ads_follow_ad_sets_which_follow_campaigns_which_follow_accounts(
    tmp_path: Path, nursery: Nursery
) -> None:
    with (
        Simulator(changed(Settings(), USUAL)) as simulator,
        FacebookExample(tmp_path / "example", simulator, nursery) as example,
    ):
        every_second(example, schedule="0 4 * * *")
        example.prepare()
        daemon = example.serve()

        def runs(job: str) -> list[float]:
            query = f"SELECT due_at FROM run WHERE job = '{job}' AND outcome = 'succeeded'"  # noqa: S608
            return [due for (due,) in example.rows(query, database="vault.db")]

        wait_until(lambda: len(runs("ads")) > 0, "nothing follows")
        status, _, log = example.stop(daemon)
        assert status == 0, log
        chain = ("ad_accounts", "campaigns", "adsets", "ads")
        for before, after in itertools.pairwise(chain):
            assert set(runs(after)) <= set(runs(before)), "for the same slots"
        for table in chain:
            assert example.rows(f"SELECT count(*) > 0 FROM {table}") == [(1,)]  # noqa: S608


def every_second(example: FacebookExample, schedule: str = "every 6h") -> None:
    path = example.folder / "config.toml"
    text = path.read_text()
    assert text.count(f'schedule = "{schedule}"') == 1
    path.write_text(text.replace(f'schedule = "{schedule}"', 'schedule = "every 1s"\njitter = "0"'))
