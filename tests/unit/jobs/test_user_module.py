"""Where a user's module or function is said to have failed."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.jobs.user_module import describe_failure, load_function


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def failure(folder: Path, run: str) -> str:
    """Import and call a function as a run does; say how it failed."""

    async def call() -> None:
        result = load_function(run, str(folder))()
        if asyncio.iscoroutine(result):
            await result

    with pytest.raises(Exception) as raised:  # noqa: PT011 - whatever a user's code raises
        asyncio.run(call())
    assert isinstance(raised.value, Exception)
    frame = last = raised.value.__traceback__
    while frame is not None:  # this file is the user's neither
        if frame.tb_frame.f_code.co_filename == __file__:
            last = frame.tb_next
        frame = frame.tb_next
    raised.value.__traceback__ = last
    return describe_failure(raised.value, str(folder))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("def broken(:", "SyntaxError: invalid syntax ({folder}/broken.py, line 1)"),
        ("def f():\n1", "IndentationError: expected an indented block"),
        ("\nimport no_such_thing", "No module named 'no_such_thing' ({folder}/broken.py, line 2)"),
        ("1 / 0", "ZeroDivisionError: division by zero ({folder}/broken.py, line 1)"),
        ("import deeper_broken", "SyntaxError: invalid syntax ({folder}/deeper_broken.py, line 2)"),
        ("def f():\n  import json\n  json.loads('{{')", "{folder}/broken.py, line 3)"),
        ("async def f():\n  raise ValueError(1)", "ValueError: 1 ({folder}/broken.py, line 2)"),
        ("import ast\ndef f(): ast.parse('(')", "{folder}/broken.py, line 2)"),
        ("def f(a): ...", "missing 1 required positional argument: 'a'"),
        ("f = 5", "ImportError: broken:f is not callable"),
        ("", "AttributeError: module 'broken' has no attribute 'f'"),
    ],
)
def test_the_place_is_the_users(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "broken.py").write_text(code.replace("{{", "{"))
    (tmp_path / "deeper_broken.py").write_text("\ndef broken(:")
    told = failure(tmp_path, "broken:f")
    assert says.replace("{folder}", str(tmp_path)) in told
    assert "asyncio" not in told
    assert "importlib" not in told


def test_a_module_that_is_not_there(tmp_path: Path) -> None:
    assert failure(tmp_path, "nowhere:f") == "ModuleNotFoundError: No module named 'nowhere'"


def test_an_installed_package(tmp_path: Path) -> None:
    """It stands in no folder of the configuration, and its own line is told all the same."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "installed.py").write_text("def f():\n    raise ValueError(1)")
    sys.path.insert(0, str(tmp_path / "site"))
    place = f"({tmp_path}/site/installed.py, line 2)"
    assert failure(tmp_path / "elsewhere", "installed:f") == f"ValueError: 1 {place}"
