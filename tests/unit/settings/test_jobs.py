"""Jobs of a configuration."""

import json
from pathlib import Path

import pytest

from connector.account_name import parse_glob
from connector.providers.catalogue import catalogue_provider
from connector.pulls.reading import load_pull
from connector.pulls.spec import CursorPages, NoPages
from connector.schedule import Cron, Every
from connector.settings.values import DestinationSettings, JobSettings

from .configuration import FACEBOOK, load, problem, problems

LEAST = """
[jobs.insights]
account = "acme/*"
run = "my_package.pulls:insights"
destination = { to = "sqlite:///ads.db" }
"""


def test_a_whole_job(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        FACEBOOK
        + """
        [jobs.ad-insights]
        account = "acme/**"
        provider = "facebook"
        schedule = "30 2 * * mon"
        timezone = "Europe/Berlin"
        run = "my_package.pulls:insights"
        deadline = "5m"
        jitter = "7s"
        options = { level = "ad", days = 28 }
        destination = { to = "jsonl:out/ads.jsonl", table = "ads", key = ["date", "ad_id"] }
        """,
    )
    job = settings.jobs["ad-insights"]
    assert isinstance(job.schedule, Cron)
    assert job.schedule.zone == "Europe/Berlin"
    assert job == JobSettings(
        name="ad-insights",
        accounts=parse_glob("acme/**"),
        provider="facebook",
        schedule=job.schedule,
        run="my_package.pulls:insights",
        destination=DestinationSettings(
            url=f"jsonl:{tmp_path}/out/ads.jsonl", table="ads", key=("date", "ad_id")
        ),
        deadline=300.0,
        jitter=7.0,
        options={"level": "ad", "days": 28},
    )


def test_the_least_job(tmp_path: Path) -> None:
    job = load(tmp_path, LEAST).jobs["insights"]
    assert job.schedule is None
    assert (job.deadline, job.jitter) == (3600.0, 0.0)
    assert job.destination == DestinationSettings(
        url=f"sqlite:///{tmp_path}/ads.db", table="insights", key=()
    )


def test_a_provider_selects_accounts_too(tmp_path: Path) -> None:
    text = FACEBOOK + LEAST.replace('account = "acme/*"', 'provider = "facebook"')
    job = load(tmp_path, text).jobs["insights"]
    assert job.accounts.matches("any/name")
    assert job.provider == "facebook"


@pytest.mark.parametrize(
    ("schedule", "jitter"),
    [("every 1s", 0.1), ("every 1m", 6.0), ("every 15m", 30.0), ("0 * * * *", 30.0)],
)
def test_starts_are_spread(tmp_path: Path, schedule: str, jitter: float) -> None:
    """A tenth of the interval, at most half a minute."""
    text = LEAST + f'schedule = "{schedule}"\n'
    assert (
        load(tmp_path, text.replace("destination", "#\ndestination")).jobs["insights"].jitter
        == jitter
    )


def test_no_jitter(tmp_path: Path) -> None:
    text = LEAST + 'schedule = "every 1m"\njitter = "0s"'
    job = load(tmp_path, text).jobs["insights"]
    assert (job.schedule, job.jitter) == (Every(interval=60.0), 0.0)


def test_a_table_is_named_after_its_job(tmp_path: Path) -> None:
    text = LEAST.replace("jobs.insights", "jobs.ad-insights")
    assert load(tmp_path, text).jobs["ad-insights"].destination.table == "ad_insights"


@pytest.mark.parametrize(
    ("change", "key", "message", "remedy"),
    [
        (('account = "acme/*"', ""), "account", "is missing", 'write account = "acme/*"'),
        (('"acme/*"', '"ACME"'), "account", "does not select accounts", 'write account = "acme/*"'),
        (('"acme/*"', "5"), "account", "must be a string", 'write account = "…"'),
        (("run =", 'schedule = "hourly"\nrun ='), "schedule", "neither 'every 15m'",
         'write schedule = "every 15m"'),
        (("run =", 'schedule = "every 5"\nrun ='), "schedule", "is not a duration", "write"),
        (("run =", 'schedule = "0 0 * * *"\ntimezone = "Nowhere"\nrun ='), "timezone",
         "'Nowhere' is not a time zone", 'write timezone = "Europe/Berlin"'),
        (("run =", 'schedule = "every 15m"\ntimezone = "Nowhere"\nrun ='), "timezone",
         "'Nowhere' is not a time zone", 'write timezone = "Europe/Berlin"'),
        (("run =", 'timezone = "Europe"\nrun ='), "timezone", "is not a time zone", "write"),
        (("run =", 'timezone = "Europe/Berlin\u200b"\nrun ='), "timezone", "is not a", "write"),
        (("run =", "timezone = 1\nrun ="), "timezone", "must be a string", "write"),
        (("run =", 'provider = "facebok"\nrun ='), "provider", "there is no provider 'facebok'",
         "did you mean facebook?"),
        (("run =", 'provider = "zzz"\nrun ='), "provider", "there is no provider 'zzz'",
         "configured here: facebook"),
        (('run = "my_package.pulls:insights"', ""), "run", "is missing", "write run ="),
        (("pulls:insights", "pulls.insights"), "run", "is not of the form module:", "write"),
        (("pulls:insights", "pulls:in-sights"), "run", "is not of the form", "write"),
        (("my_package.pulls:insights", "os;rm:x"), "run", "is not of the form", "write"),
        (("run =", 'request = { url = "me" }\nrun ='), "run", "stands beside a request",
         "take one of them away"),
        (('run = "my_package.pulls:insights"', "request = 5"), "request", "must be a table",
         "write"),
        (('run = "my_package.pulls:insights"', "request = {}"), "request.url", "is missing", "add"),
        (('run = "my_package.pulls:insights"', 'request = { url = "https://evil.example/x" }'),
         "request.url", "goes to https://evil.example:443, to which no token of facebook is sent",
         "api_origins"),
        (('run = "my_package.pulls:insights"',
          'request = { url = "me", cursor = { field = "date" } }'),
         "request.cursor", "is never sent", 'add param = "since"'),
        (("run =", 'deadline = "0s"\nrun ='), "deadline", "leaves a run no time", "write deadline"),
        (("run =", 'deadline = "soon"\nrun ='), "deadline", "is not a duration", "write a number"),
        (("run =", "jitter = 5\nrun ="), "jitter", "must be a string", "write"),
        (("run =", "options = 5\nrun ="), "options", "must be a table", "write"),
        (("run =", 'acount = "x"\nrun ='), "acount", "is not a known key", "did you mean account?"),
        (("sqlite:///ads.db", "ads.db"), "destination.to", "is no destination", 'write "sqlite'),
        (("sqlite:///ads.db", "mysql://h/db"), "destination.to", "is no destination", "write"),
        (("sqlite:///ads.db", "sqlite:///"), "destination.to", "names no file", "write"),
        (("sqlite:///ads.db", "sqlite:///:memory:"), "destination.to", "names no file", "write"),
        (("sqlite:///ads.db", "jsonl:"), "destination.to", "names no file", "write"),
        (("sqlite:///ads.db", ""), "destination.to", "is empty", "write"),
        (('{ to = "sqlite:///ads.db" }', "{}"), "destination.to", "is missing", "add: to"),
        (('ads.db"', 'ads.db", table = "a; drop table b"'), "destination.table",
         "is not a table's name", "use A-Z"),
        (('ads.db"', 'ads.db", key = "date"'), "destination.key", "must be a list", "write key"),
        (('ads.db"', 'ads.db", kee = []'), "destination.kee", "is not a known key",
         "did you mean key?"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(
    tmp_path: Path, change: tuple[str, str], key: str, message: str, remedy: str
) -> None:
    text = LEAST.replace(*change)
    assert text != LEAST
    found = problem(tmp_path, FACEBOOK + text)
    assert found.key == f"jobs.insights.{key}"
    assert message in found.message
    assert remedy in found.remedy


@pytest.mark.parametrize(
    "to",
    [
        "sqlite:///vault.db",
        "sqlite:///./elsewhere/../vault.db",
        "sqlite:///{folder}/vault.db",
        "sqlite:///link.db",
        "jsonl:vault.db",
        "jsonl:vault.db-wal",
    ],
)
def test_the_vault_is_no_destination(tmp_path: Path, to: str) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "vault.db")
    text = LEAST.replace("sqlite:///ads.db", to.replace("{folder}", str(tmp_path)))
    found = problem(tmp_path, text)
    assert found.key == "jobs.insights.destination.to"
    assert found.message == "is the vault: records would be written among its secrets"
    assert found.remedy == 'name another file: "sqlite:///ads.db"'
    elsewhere = '[vault]\nurl = "postgresql://localhost/vault"\n'
    assert "insights" in load(tmp_path, elsewhere + text).jobs


def test_a_vault_in_another_place_is_no_destination_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "insights" in load(tmp_path, LEAST).jobs
    monkeypatch.setenv("CONNECTOR_VAULT_URL", "sqlite:///ads.db")
    assert problem(tmp_path, LEAST).key == "jobs.insights.destination.to"


def test_schedule_and_time_zone_are_both_told(tmp_path: Path) -> None:
    text = LEAST.replace("run =", 'schedule = "61 * * * *"\ntimezone = "Nowhere"\nrun =')
    assert {one.key.rpartition(".")[2] for one in problems(tmp_path, text)} == {
        "schedule",
        "timezone",
    }


@pytest.mark.parametrize("name", ["Insights", "a b", "a/b", "-a", "ä"])
def test_what_is_no_job_s_name(tmp_path: Path, name: str) -> None:
    found = problem(tmp_path, LEAST.replace("jobs.insights", f'jobs."{name}"'))
    assert (found.key, found.message) == (f"jobs.{name}", "is not a job's name")
    assert found.remedy == "use a-z, 0-9, '-' and '_'"


def test_all_jobs_are_looked_at(tmp_path: Path) -> None:
    found = problems(tmp_path, "[jobs.one]\n[jobs.two]\n[jobs.three]\n")
    assert len(found) == 9
    assert all(one.remedy for one in found)


class TestAfter:
    """A job that follows another one."""

    @staticmethod
    def text(**after: str) -> str:
        jobs = [
            f"[jobs.{name}]\naccount = 'a'\nrun = 'p:f'\n{rest}\n"
            "destination = { to = 'jsonl:x' }\n"
            for name, rest in after.items()
        ]
        return "\n".join(jobs)

    def test_is_read(self, tmp_path: Path) -> None:
        jobs = load(tmp_path, self.text(one="schedule='every 1h'", two="after='one'")).jobs
        assert (jobs["one"].after, jobs["two"].after) == (None, "one")

    @pytest.mark.parametrize(
        ("after", "key", "says", "remedy"),
        [
            (
                {"one": "", "two": "after='oen'"},
                "jobs.two.after",
                "no job 'oen'",
                "did you mean one?",
            ),
            ({"one": "after='one'"}, "jobs.one.after", "follows itself: one → one", "a schedule"),
            (
                {"one": "after='two'", "two": "after='one'"},
                "jobs.two.after",
                "follows itself: two → one → two",
                "give one of them a schedule",
            ),
            (
                {"one": "", "two": "after='one'\nschedule='every 1h'"},
                "jobs.two.after",
                "stands beside a schedule",
                "take one",
            ),
        ],
    )
    def test_what_cannot_be(
        self, tmp_path: Path, after: dict[str, str], key: str, says: str, remedy: str
    ) -> None:
        found = [one for one in problems(tmp_path, self.text(**after)) if one.key == key]
        assert len(found) == 1
        assert says in found[0].message
        assert remedy in found[0].remedy

    def test_one_that_leads_into_a_cycle_is_not_in_it(self, tmp_path: Path) -> None:
        text = self.text(one="after='two'", two="after='two'", three="after='one'")
        assert [one.key for one in problems(tmp_path, text)] == ["jobs.two.after"]


def test_catch_up_and_scopes(tmp_path: Path) -> None:
    job = load(tmp_path, LEAST).jobs["insights"]
    assert (job.catch_up, job.scopes) == ("last", ())
    text = LEAST.replace("run =", 'catch_up = "all"\nscopes = ["ads_read"]\nrun =')
    job = load(tmp_path, text).jobs["insights"]
    assert (job.catch_up, job.scopes) == ("all", ("ads_read",))


def test_a_declared_pull_is_read_with_what_its_provider_says(tmp_path: Path) -> None:
    request = """
        request = { url = "me/adaccounts", records = "data", cursor = { field = "d", param = "s",
            start = 2026-01-05 } }
    """.replace("\n            ", " ")
    text = FACEBOOK + LEAST.replace('run = "my_package.pulls:insights"', request)
    job = load(tmp_path, text.replace("account =", 'provider = "facebook"\naccount =')).jobs[
        "insights"
    ]
    assert job.run == ""
    assert job.request is not None
    assert job.request.pagination == CursorPages(
        next="paging.cursors.after", param="after", link="paging.next"
    )
    assert job.request.errors
    assert json.loads(json.dumps(job.request_table)) == {
        "url": "me/adaccounts",
        "records": "data",
        "cursor": {"field": "d", "param": "s", "start": "2026-01-05"},
    }
    again = load_pull(
        job.request_table,
        catalogue_provider("facebook").api.pull.table,
        source="config.toml",
        job="insights",
    )
    assert again == job.request


def test_a_pull_for_accounts_of_any_provider_knows_none(tmp_path: Path) -> None:
    text = FACEBOOK + LEAST.replace('run = "my_package.pulls:insights"', 'request = { url = "me" }')
    pull = load(tmp_path, text).jobs["insights"].request
    assert pull is not None
    assert (pull.pagination, pull.errors) == (NoPages(), ())
