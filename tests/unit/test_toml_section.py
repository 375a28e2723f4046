"""Reading one table: every problem at once, each with its key and a remedy."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from connector.errors import Problem
from connector.secret import Secret
from connector.toml_section import Section

FOLDER = Path("/etc/connector")


def read(
    table: Mapping[str, object], overrides: Mapping[str, str] | None = None
) -> tuple[Section, list[Problem]]:
    problems: list[Problem] = []
    section = Section(
        table,
        path=("vault",),
        source="config.toml",
        folder=FOLDER,
        problems=problems,
        overrides=overrides,
    )
    return section, problems


def test_what_is_there_is_given() -> None:
    section, problems = read(
        {
            "text": "x",
            "number": 5,
            "flag": True,
            "list": ["a", "b"],
            "map": {"a": "b"},
            "time": "15m",
            "word": "one",
            "table": {"inner": "y"},
            "tables": [{"inner": "z"}],
            "by_name": {"first": {"inner": "w"}},
        }
    )
    assert section.text("text") == "x"
    assert section.integer("number", 1, lowest=0, highest=9) == 5
    assert section.boolean("flag", default=False) is True
    assert section.texts("list") == ("a", "b")
    assert section.text_map("map") == {"a": "b"}
    assert section.duration("time", None) == 900
    assert section.choice("word", ("one", "two"), "two") == "one"
    assert section.section("table").text("inner") == "y"
    assert [table.text("inner") for table in section.tables("tables")] == ["z"]
    assert [(name, t.text("inner")) for name, t in section.sections("by_name")] == [("first", "w")]
    section.finish()
    assert problems == []


def test_what_is_absent_is_the_default() -> None:
    section, problems = read({})
    assert section.text("text", "d") == "d"
    assert section.text("text") == ""
    assert section.optional_text("text") is None
    assert section.integer("number", 7, lowest=0, highest=9) == 7
    assert section.boolean("flag", default=True) is True
    assert section.texts("list", ("d",)) == ("d",)
    assert section.text_map("map") == {}
    assert section.duration("time", 3.0) == 3.0
    assert section.choice("word", ("one", "two"), "two") == "two"
    assert section.secret("secret", allow_plaintext=False) is None
    assert section.section("table").table == {}
    assert section.tables("tables") == []
    assert list(section.sections("by_name")) == []
    section.finish()
    assert problems == []
    assert "text" not in section


READERS: dict[str, Callable[[Section], object]] = {
    "text": lambda s: s.text("key", "d"),
    "integer": lambda s: s.integer("key", 1, lowest=0, highest=9),
    "float": lambda s: s.value("key", float),
    "boolean": lambda s: s.boolean("key", default=False),
    "texts": lambda s: s.texts("key"),
    "text_map": lambda s: s.text_map("key"),
    "duration": lambda s: s.duration("key", None),
    "choice": lambda s: s.choice("key", ("one", "two"), "two"),
    "section": lambda s: s.section("key").table,
    "sections": lambda s: list(s.sections("key")),
    "tables": lambda s: s.tables("key"),
    "secret": lambda s: s.secret("key", allow_plaintext=True),
    "required": lambda s: s.text("key", is_required=True),
}


@pytest.mark.parametrize(
    ("reader", "value", "message", "remedy"),
    [
        ("text", 5, "must be a string, not a whole number", 'write key = "…"'),
        ("text", "a\x1b[2J", "contains a control or invisible character", "remove it"),
        ("text", "a\nb", "contains a control or invisible character", "remove it"),
        ("text", "user\u202egpj.exe", "contains a control or invisible character", "remove it"),
        ("integer", "5", "must be a whole number, not a string", "write key = 1"),
        ("integer", True, "must be a whole number, not true or false", "write key = 1"),
        ("integer", 1.5, "must be a whole number, not a number", "write key = 1"),
        ("integer", 10, "must be from 0 to 9", "write a number in this range"),
        ("integer", -1, "must be from 0 to 9", "write a number in this range"),
        ("float", "x", "must be a number, not a string", "write key = 0.5"),
        ("float", True, "must be a number, not true or false", "write key = 0.5"),
        ("boolean", 1, "must be true or false, not a whole number", "write key = true"),
        ("boolean", "true", "must be true or false, not a string", "write key = true"),
        ("texts", "a", "must be a list, not a string", 'write key = ["…"]'),
        ("texts", ["a", 1], "must be a list of strings", 'write key = ["…"]'),
        ("texts", ["a", "b\0"], "contains a control or invisible character", "remove it"),
        ("text_map", [], "must be a table, not a list", "write key = { … }"),
        ("text_map", {"a": 1}, "must be a table of strings", 'write key = { name = "…" }'),
        ("text_map", {"X-A": "b\r\nX-B: c"}, "contains a control or invisible", "remove it"),
        ("text_map", {"a\r\nb": "c"}, "contains a control or invisible", "remove it"),
        ("duration", "5", "is not a duration such as 90s", "write a number and its unit"),
        ("duration", 5, "must be a string, not a whole number", 'write key = "…"'),
        ("choice", "onne", "must be one of one, two", "did you mean one?"),
        ("choice", "xyz", "must be one of one, two", "write one of them"),
        ("section", "x", "must be a table, not a string", "write key = { … }"),
        ("sections", {"a": 1}, "must be a table", "write it as [key.a]"),
        ("tables", [{}, 1], "must be a list of tables", "write each as [[key]]"),
        ("tables", {}, "must be a list, not a table", 'write key = ["…"]'),
        ("secret", 5, "must be a string, not a whole number", 'write key = "…"'),
        ("secret", "", "is empty", 'write key = "env:NAME", or remove the line'),
        ("required", "", "is empty", 'write key = "…"'),
        ("required", None, "is missing", "add: key = …"),
    ],
)
def test_what_is_wrong_is_told(reader: str, value: object, message: str, remedy: str) -> None:
    """150: nothing invisible gets into a header, a URL or a log line."""
    section, problems = read({} if value is None else {"key": value})
    READERS[reader](section)
    (problem,) = problems
    assert problem.source == "config.toml"
    assert problem.key in {"vault.key", "vault.key.a"}
    assert message in problem.message
    assert problem.remedy == remedy


def test_a_wrong_value_yields_the_default() -> None:
    """So that reading goes on, and the next problem is found too."""
    section, problems = read({"text": 1, "number": "x", "flag": 0, "list": [1], "word": "xyz"})
    assert section.text("text", "d") == "d"
    assert section.integer("number", 7, lowest=0, highest=9) == 7
    assert section.boolean("flag", default=True) is True
    assert section.texts("list", ("d",)) == ("d",)
    assert section.choice("word", ("one",), "one") == "one"
    assert len(problems) == 5


def test_whole_numbers_are_numbers() -> None:
    section, problems = read({"key": 5})
    assert section.value("key", float) == 5.0
    assert problems == []


@pytest.mark.parametrize(
    ("value", "kind", "name"),
    [
        ("env:NAME", "env", "NAME"),
        ("file:secrets/acme", "file", "secrets/acme"),
        ("keyring:acme/client", "keyring", "acme/client"),
        ("credential:acme", "credential", "acme"),
        ("file:C:\\x", "file", "C:\\x"),
    ],
)
def test_a_secret_is_a_reference(value: str, kind: str, name: str) -> None:
    section, problems = read({"secret": value})
    reference = section.secret("secret", allow_plaintext=False)
    assert reference is not None
    assert (reference.kind, reference.name, reference.folder) == (kind, name, FOLDER)
    assert (reference.source, reference.key) == ("config.toml", "vault.secret")
    assert problems == []


@pytest.mark.parametrize("value", ["canary-1", "env:", "ENV:NAME", "vault:x", "a:b:c", ":x"])
def test_a_literal_secret_is_refused_and_not_quoted(value: str) -> None:
    section, problems = read({"secret": value})
    assert section.secret("secret", allow_plaintext=False) is None
    (problem,) = problems
    assert problem.message == "is a literal secret"
    assert "env:NAME, file:PATH" in problem.remedy
    assert "allow_plaintext_secrets = true" in problem.remedy
    assert "canary-1" not in str(problem)


def test_a_literal_secret_may_be_allowed() -> None:
    section, problems = read({"secret": "canary-1"})
    reference = section.secret("secret", allow_plaintext=True)
    assert reference is not None
    assert reference.resolve() == Secret("canary-1")
    assert "canary-1" not in repr(reference)
    assert problems == []


def test_what_the_environment_set_is_blamed_on_it() -> None:
    section, problems = read({"port": "x"}, {"vault.port": "CONNECTOR_VAULT_PORT"})
    section.integer("port", 1, lowest=0, highest=9)
    section.secret("port", allow_plaintext=False)
    assert [problem.source for problem in problems] == ["CONNECTOR_VAULT_PORT"] * 2


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        ("sael", "did you mean seal?"),
        ("SEAL", "known here: seal, url"),
        ("xyz", "known here: seal, url"),
    ],
)
def test_an_unknown_key_is_told_with_the_nearest(key: str, remedy: str) -> None:
    section, problems = read({"url": "x", "seal": "y", key: 1})
    section.text("url")
    section.text("seal")
    section.finish()
    assert problems == [Problem("config.toml", f"vault.{key}", "is not a known key", remedy)]


def test_an_unknown_key_where_none_is_known() -> None:
    section, problems = read({"x": 1})
    section.finish()
    assert [problem.remedy for problem in problems] == ["remove it"]


def test_inner_tables_share_the_list_of_problems_and_name_their_place() -> None:
    section, problems = read({"jobs": {"a": {"x": 1}}, "rules": [{}, {"x": 1}]})
    for _, table in section.sections("jobs"):
        table.finish()
    for table in section.tables("rules"):
        table.finish()
    section.section("jobs").section("a").text("x")
    assert [problem.key for problem in problems] == [
        "vault.jobs.a.x",
        "vault.rules[1].x",
        "vault.jobs.a.x",
    ]


def test_a_problem_with_the_table_itself() -> None:
    section, problems = read({})
    section.problem("", "is wrong")
    assert str(problems[0]) == "config.toml: vault: is wrong"
