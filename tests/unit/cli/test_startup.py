import subprocess
import sys

from tests.benchmarks.startup import HEAVY, imported_by_help


def test_the_command_line_imports_nothing_heavy_until_it_is_needed() -> None:
    assert imported_by_help() == []


def test_the_heavy_modules_are_those_that_a_command_needs() -> None:
    """The list above names real modules: opening the store does import them."""
    code = f"import sys, connector.runtime\nprint([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "sqlmodel" in done.stdout
    assert "httpx2" in done.stdout
    assert "fastapi" not in done.stdout
