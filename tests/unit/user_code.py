"""Modules of a user's, as tests write them."""

from importlib.util import cache_from_source
from pathlib import Path
from textwrap import dedent


def write_module(file: Path, code: str) -> None:
    """Write a module, and have Python read it.

    Python takes its compiled form instead where both are of one second and one length, which two
    modules of a test may be.
    """
    file.write_text(dedent(code))
    Path(cache_from_source(str(file))).unlink(missing_ok=True)
