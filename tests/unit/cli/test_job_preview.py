"""``connector jobs run --preview``: records are shown, and nothing is written."""

import json

from tests.unit.cli.conftest import JOB, Commands

MANY = """
import pathlib

async def pull(api, context):
    try:
        for number in range(10**9):
            context.cursor = number
            yield {"id": number, "since": context.cursor and None}
    finally:
        pathlib.Path("closed").write_text("yes")
"""


def declare(commands: Commands, request: str) -> None:
    """Have the job pull what is declared."""
    file = commands.bench.folder / "config.toml"
    text = file.read_text()
    assert JOB in text
    file.write_text(text.replace(JOB, JOB.replace('run = "pulls:pull"', f"request = {request}")))


class TestCallables:
    def test_the_first_records_are_shown_and_the_function_is_closed(
        self, commands: Commands
    ) -> None:
        commands.bench.connect_apart()
        commands.write(MANY)
        assert commands.run("jobs", "run", "pull", "--preview", "3") == 0
        assert [json.loads(line)["id"] for line in commands.out.splitlines()] == [0, 1, 2]
        assert commands.err == "acme/ads: 3 records, not written\n"
        folder = commands.bench.folder
        assert (folder / "closed").read_text() == "yes"
        assert not (folder / "ads.db").exists()

    def test_fewer_than_were_asked_for(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write("def pull(api, context):\n  yield [{'id': 1}, {'n': 2}]")
        assert commands.run("jobs", "run", "pull", "--preview", "20") == 0
        assert commands.out == '{"id":1}\n'
        assert "a record would be set aside: it lacks id" in commands.err

    def test_a_failure(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        commands.write("def pull(api, context): 1 / 0")
        assert commands.run("jobs", "run", "pull", "--preview", "20") == 1
        assert "ZeroDivisionError" in commands.err


class TestDeclared:
    def test_pages_as_they_are_needed(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        declare(commands, '{ url = "me", keep = { account = "account" } }')
        assert commands.run("jobs", "run", "pull", "--preview", "2") == 0
        (line,) = commands.out.splitlines()
        assert json.loads(line)["account"] == "acme/ads"
        sent, done = commands.err.splitlines()
        assert sent.startswith("acme/ads: GET http")
        assert sent.endswith("/api/me")
        assert done == "acme/ads: 1 record, not written"
        assert not (commands.bench.folder / "ads.db").exists()

    def test_what_is_wrong_is_told(self, commands: Commands) -> None:
        commands.bench.connect_apart()
        declare(commands, '{ url = "me", records = "nothing" }')
        assert commands.run("jobs", "run", "pull", "--preview", "2") == 1
        assert "GET me: the answer has no 'nothing'; it has only" in commands.err
