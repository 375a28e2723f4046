"""The public names, and what importing the package costs."""

import json
import subprocess
import sys

import pytest

import connector

PROGRAM = """
import json, sys
before = set(sys.modules)
{statement}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imported_by(statement: str) -> set[str]:
    """Give the modules that a fresh interpreter loads for one statement."""
    program = PROGRAM.format(statement=statement)
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    return set(json.loads(run.stdout))


def top_level(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("name", connector.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(connector, name) is not None


def test_all_is_what_resolves_lazily() -> None:
    lazy = set(connector.__all__) - {"__version__"}
    assert set(connector._MODULES) <= lazy
    errors = lazy - set(connector._MODULES)
    assert errors == {name for name in vars(connector.errors) if name in errors}
    assert sorted(connector.__all__) == dir(connector)
    assert len(set(connector.__all__)) == len(connector.__all__)


def test_every_error_is_public() -> None:
    tree = [connector.ConnectorError]
    for error in tree:
        tree.extend(error.__subclasses__())
    ours = {error.__name__ for error in tree if error.__module__ == "connector.errors"}
    assert ours <= set(connector.__all__)


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="'connector' has no attribute 'Vault'"):
        _ = connector.Vault


def test_a_resolved_name_is_kept() -> None:
    assert connector.AccessToken is connector.AccessToken
    assert "AccessToken" in vars(connector)


def test_importing_the_package_loads_nothing() -> None:
    loaded = imported_by("import connector")
    assert {module for module in loaded if "connector" in module} == {"connector"}
    assert top_level(loaded) <= sys.stdlib_module_names | {"connector"}
    assert not loaded & {"asyncio", "dataclasses", "inspect", "logging", "socket", "ssl"}


def test_importing_the_errors_loads_next_to_nothing() -> None:
    """The thin client imports this module alone."""
    loaded = top_level(imported_by("import connector.errors"))
    assert not loaded & {"asyncio", "dataclasses", "inspect", "logging", "ssl", "httpx2"}
    ours = {module for module in imported_by("import connector.errors") if "connector" in module}
    assert ours == {"connector", "connector.errors"}


@pytest.mark.parametrize(
    "heavy", ["sqlalchemy", "sqlmodel", "httpx2", "authlib", "cryptography", "joserfc", "asyncio"]
)
def test_an_error_of_the_package_costs_no_heavy_import(heavy: str) -> None:
    loaded = top_level(imported_by("from connector import ConsentRequired, UnknownAccount"))
    assert heavy not in loaded


@pytest.mark.parametrize("heavy", ["sqlalchemy", "authlib", "joserfc", "apscheduler", "keyring"])
def test_settings_are_read_without_heavy_imports(heavy: str) -> None:
    """`connector providers` and `--help` stay quick: libraries load when they are used."""
    assert heavy not in top_level(imported_by("import connector.settings"))


def test_a_program_without_logging_hears_nothing_of_ours() -> None:
    """Python itself prints warnings of a library that has no handler at all."""
    code = (
        "from connector import Connector, get_access_token\n"
        "import logging\n"
        "logging.getLogger('connector.token_source').warning('a refresh failed')\n"
        "logging.getLogger('other').warning('heard')\n"
        "print(len(logging.getLogger('connector').handlers))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("1\n", "heard\n")
