"""What the documentation says is held true."""

import ast
import re
from pathlib import Path

import pytest

from connector.pulls.reading.pages import KINDS
from connector.pulls.reading.times import FORMATS
from connector.pulls.rules import Action
from connector.settings import load_settings
from connector.store.audit_entry import EVENTS
from connector.toml_section import Section

ROOT = Path(__file__).parents[2]
CONFIGURATION = (ROOT / "docs" / "reference" / "configuration.md").read_text()
PULLS = (ROOT / "docs" / "reference" / "pulls.md").read_text()

#: Every table, so that every reader is run.
WHOLE = """
[providers.acme]
client_id = "x"
authorization_endpoint = "https://a.example/authorize"
token_endpoint = "https://a.example/token"
identity = { url = "https://a.example/me" }
exchange = { grant_type = "x", parameter = "y" }
revocation = { endpoint = "https://a.example/revoke" }
token_answer = { errors = [{ when = { a = 1 }, means = "invalid_grant" }] }
api.base_url = "https://a.example/"
api.rejections = [{ status = 400 }]
[jobs.one]
account = "a"
run = "a:b"
destination = { to = "jsonl:x" }
[jobs.two]
account = "a"
destination = { to = "jsonl:x" }
[jobs.two.request]
url = "x/{p}"
pagination = { kind = "cursor" }
size = { value = 5 }
cursor = { param = "s", start = "-1d" }
window = { length = "1d", param = "u" }
each = { url = "p", fields = { p = "id" }, pagination = { kind = "page" } }
report = { id = "id", poll = { url = "p" }, ready = { a = 1 }, result = { url = "r" } }
errors = [{ status = 400, action = "retry" }]
limits = { headers = [{ name = "X-Used" }] }
[jobs.three]
account = "a"
destination = { to = "jsonl:x" }
request = { url = "{r}", each = { name = "r", values = ["a"] } }
"""


def known_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[tuple[str, str]]:
    """Give (table, key) of everything that the readers ask a configuration for."""
    asked: set[tuple[str, str]] = set()
    original = Section.value

    def recording(self: Section, key: str, kind: type, *, example: str = "") -> object:
        asked.add((".".join(self.path), key))
        return original(self, key, kind, example=example)

    monkeypatch.setattr(Section, "value", recording)
    (tmp_path / "config.toml").write_text(WHOLE)
    load_settings(tmp_path / "config.toml")
    return asked


def is_documented(table: str, key: str) -> bool:
    page = PULLS if {"request", "pull"} & {*table.split(".")} else CONFIGURATION
    return f"`{key}`" in page or f"`{key} = " in page


def test_every_key_is_documented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = known_keys(tmp_path, monkeypatch)
    assert ("vault", "seal") in asked
    assert ("providers.acme.refresh_token", "rotation") in asked
    sections = {"vault", "daemon", "http", "notify", "telemetry", "providers", "jobs"}
    missing = [
        f"{table}.{key}" if table else key
        for table, key in sorted(asked)
        if (table or key not in sections) and not is_documented(table, key)
    ]
    assert missing == []


EXAMPLES = re.findall(r"```toml\n(\[jobs\..*?)```", PULLS, re.DOTALL)


def test_the_examples_of_pulls_are_read(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 2
    registrations = "".join(
        f'[providers.{name}]\nclient_id = "x"\nclient_secret = "env:X"\n'
        for name in ("facebook", "hubspot")
    )
    (tmp_path / "config.toml").write_text(registrations + "".join(EXAMPLES))
    jobs = load_settings(tmp_path / "config.toml").jobs
    assert all(job.request is not None for job in jobs.values())
    assert set(jobs) == {"contacts", "insights"}


def test_every_action_and_kind_of_a_pull_is_documented() -> None:
    words = [*(action.value for action in Action), *KINDS, *FORMATS]
    assert [word for word in words if f"`{word}`" not in PULLS] == []


@pytest.mark.parametrize(
    "page",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def named_tests(text: str) -> list[str]:
    """Give the tests that a text names."""
    return re.findall(r"`([\w/]+\.py::[\w:]+)`", text)


def rows_of_the_fault_matrix() -> dict[str, list[str]]:
    """Give the tests that the page names, by row."""
    page = (ROOT / "docs" / "fault-matrix.md").read_text()
    rows = re.findall(r"^\| ([A-Z]+\d+) \|(.*)\|$", page, re.MULTILINE)
    return {row: named_tests(text) for row, text in rows}


def names_in(path: Path) -> set[str]:
    """Give the tests of a module, as pytest names them."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{part.name}" for part in node.body if is_test(part)}  # type: ignore[attr-defined]
        elif is_test(node):
            found.add(node.name)  # type: ignore[attr-defined]
    return found


def is_test(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith(
        "test_"
    )


def test_the_fault_matrix_has_every_row() -> None:
    numbers = {"R": 37, "I": 8, "V": 18, "C": 22, "A": 16, "S": 12, "D": 18}
    wanted = [f"{kind}{one + 1}" for kind, last in numbers.items() for one in range(last)]
    assert list(rows_of_the_fault_matrix()) == wanted


@pytest.mark.parametrize(("row", "tests"), rows_of_the_fault_matrix().items())
def test_the_tests_of_the_fault_matrix_are_there(row: str, tests: list[str]) -> None:
    _, _, reasons = (
        (ROOT / "docs" / "fault-matrix.md").read_text().partition("## What is not there")
    )
    assert tests or f"**{row}**" in reasons
    assert missing_of(tests) == []


def test_what_the_fault_matrix_does_not_show_is_of_its_rows() -> None:
    page = (ROOT / "docs" / "fault-matrix.md").read_text()
    _, _, reasons = page.partition("## What is not there")
    named = re.findall(r"^- \*\*(.+?)\*\*: ", reasons, re.MULTILINE)
    assert len(named) == reasons.count("\n- ")
    rows = {row for one in named for row in one.split(", ")}
    assert rows <= rows_of_the_fault_matrix().keys()
    modules = re.findall(r"`(\w+/[\w/]+\.py)`", page)
    assert modules
    assert [one for one in modules if not (ROOT / "tests" / one).exists()] == []


def test_each_requirement_of_the_vault_is_shown_or_says_why_not() -> None:
    page = (ROOT / "docs" / "vault-requirements.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \| (.*) \|$", page, re.MULTILINE)
    assert [int(row) for row, _, _ in rows] == [*range(109, 142), *range(161, 169)]
    assert [row for row, tests, why in rows if not named_tests(tests) and len(why) < 9] == []
    assert missing_of(named_tests(page)) == []


def test_what_the_threat_model_claims_is_shown() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    held, _, limits = page.partition("## What does not hold")
    rows = re.findall(r"^\| (?!against whom|seal \|).*\|$", held, re.MULTILINE)
    assert len(rows) > 15
    assert [row for row in rows if not named_tests(row)] == []
    assert missing_of(named_tests(held) + named_tests(limits)) == []
    assert named_tests(limits)


def test_every_event_and_outcome_of_the_audit_trail_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "audit.md").read_text()
    assert [event for event in EVENTS if f"`{event}`" not in page] == []
    outcomes = set[str]()
    for path in (ROOT / "connector").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                outcomes |= constant_outcomes(node)
    assert {"denied", "rotation_lost", "no_key", "wrong_browser", "owed", "worn"} <= outcomes
    assert [outcome for outcome in outcomes if f"`{outcome}`" not in page] == []


def constant_outcomes(call: ast.Call) -> set[str]:
    """Give the outcomes that a call writes down, where they stand in it as they are."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    places: list[ast.expr] = []
    if name == "Entry":
        places = [keyword.value for keyword in call.keywords if keyword.arg == "outcome"]
    elif name in {"refused", "rejected", "_Refusal"} or (name, len(call.args)) in {
        ("ConsentNotGiven", 3),
        ("end", 3),
    }:
        places = call.args[-1:]
    nodes = (node for place in places for node in ast.walk(place))
    values = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {value for value in values if isinstance(value, str)}


def missing_of(tests: list[str]) -> list[str]:
    """Give those that are not there."""
    parts = [(test, *test.split("::", 1)) for test in tests]
    return [test for test, path, name in parts if name not in names_in(ROOT / "tests" / path)]


def test_the_readme_names_only_commands_that_are_there() -> None:
    from connector.cli.main import COMMANDS

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"(?:^|[`$] ?)connector ([a-z]+)\b", text, re.MULTILINE))
    assert {"init", "connect", "token", "serve"} <= named
    assert named <= set(COMMANDS), named - set(COMMANDS)


def test_the_example_configuration_is_what_init_writes() -> None:
    template = ROOT / "connector" / "cli" / "config.template.toml"
    assert template.read_text() == (ROOT / "config.example.toml").read_text()


def test_the_changelog_has_the_version() -> None:
    from connector import __version__

    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert "## [Unreleased]" in changelog or f"## [{__version__}]" in changelog
