"""Jobs of a configuration."""

from pathlib import Path

import pytest

from connector.account_name import parse_glob
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
        (("run =", "request = {}\nrun ="), "request", "is not available in this version",
         "write a callable"),
        (("run =", 'deadline = "0s"\nrun ='), "deadline", "leaves a run no time", "write deadline"),
        (("run =", 'deadline = "soon"\nrun ='), "deadline", "is not a duration", "write a number"),
        (("run =", "jitter = 5\nrun ="), "jitter", "must be a string", "write"),
        (("run =", "options = 5\nrun ="), "options", "must be a table", "write"),
        (("run =", 'acount = "x"\nrun ='), "acount", "is not a known key", "did you mean account?"),
        (("sqlite:///ads.db", "ads.db"), "destination.to", "is no destination", 'write "sqlite'),
        (("sqlite:///ads.db", "postgresql://h/db"), "destination.to", "is no destination", "write"),
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
