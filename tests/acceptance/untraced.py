"""Whether what a test of real processes starts is measured for coverage.

It is where the mark says so: of each command, service and client one test module is marked. All the
others start thousands of processes that run the same lines, and each takes half of its time again
when it is measured.
"""

import pytest

from .forked import COVERAGE


@pytest.fixture(autouse=True)
def trace_nothing_started(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a test starts run as it does for users, unless the test is marked ``traced``."""
    if request.node.get_closest_marker("traced") is None:
        monkeypatch.delenv(COVERAGE, raising=False)
