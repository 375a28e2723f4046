"""Every line of our log has an action, and the page of the log has every action and field."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from connector.log import FIELDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "log.md").read_text()
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
#: They print for a person, and are no part of a daemon.
OTHERS = {"simulator", "cli"}
ACTION = re.compile(r"[a-z_]+\.[a-z_]+")


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted((ROOT / "connector").rglob("*.py")):
        if OTHERS.isdisjoint(path.relative_to(ROOT).parts):
            yield path, ast.parse(path.read_text())


def lines_of_the_log(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in METHODS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "logger"
        ):
            yield node


def extra_of(call: ast.Call, tree: ast.AST) -> ast.expr | None:
    """Give what a line's fields are made of, through a variable too."""
    given = next((keyword.value for keyword in call.keywords if keyword.arg == "extra"), None)
    if not isinstance(given, (ast.Name, ast.Attribute)):
        return given
    values = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == ast.unparse(given)
        and node.lineno <= call.lineno
    ]
    return values[-1] if values else None


def actions_in(expression: ast.expr | None) -> set[str]:
    """Give the actions that an expression names; "?" for one that a variable holds."""
    found: set[str] = set()
    for node in ast.walk(expression) if expression is not None else ():
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "action":
                    found.add(value.value if isinstance(value, ast.Constant) else "?")  # type: ignore[arg-type]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("_fields"):
            found |= {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
    return found


def test_every_line_has_an_action() -> None:
    missing = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path, tree in modules()
        for call in lines_of_the_log(tree)
        if not actions_in(extra_of(call, tree))
    ]
    assert missing == []


def all_actions() -> set[str]:
    found: set[str] = set()
    for _path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, (ast.Dict, ast.Call)):
                found |= actions_in(node)
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("._repeat"):
                found |= {str(one.value) for one in node.args if isinstance(one, ast.Constant)}
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).endswith("['action']"):
                found |= {str(one.value) for one in [node.value] if isinstance(one, ast.Constant)}
    return {action for action in found if ACTION.fullmatch(action)}


def test_the_page_has_every_action_and_no_other() -> None:
    _, _, table = PAGE.partition("## Actions")
    rows = re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE)
    named = [action for row in rows for action in re.findall(r"`([^`]+)`", row)]
    assert len(named) == len(set(named))
    found = all_actions()
    assert len(found) > 60
    assert sorted(found - set(named)) == [], "not on the page"
    assert sorted(set(named) - found) == [], "nobody says so any more"


def test_the_page_has_every_field() -> None:
    fields = PAGE.partition("## Fields")[2].partition("## Actions")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \|", fields, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    always = {"time", "level", "logger", "action", "message", "traceback"}
    assert named == set(FIELDS) | always
