"""What tests of dlt destinations have in common."""

import os
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Final

import pytest

#: Methods of dlt's pipeline that our code calls.
_ENTRIES: Final = (
    "destination_client",
    "extract",
    "get_load_package_info",
    "list_normalized_load_packages",
    "load",
    "normalize",
)


@pytest.fixture
def dlt_apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have what a run's process sets for itself be gone afterwards, and dlt be quick.

    Coverage measures our code alone, but a tracer is called for each line of dlt's as well, which
    doubles the time of each load. What dlt calls of ours meanwhile, to give it rows, is not
    measured either.
    """
    import dlt
    from dlt.pipeline.pipeline import Pipeline

    before = dict(os.environ)
    monkeypatch.setattr(dlt, "pipeline", _untraced(dlt.pipeline))
    for name in _ENTRIES:
        monkeypatch.setattr(Pipeline, name, _untraced(getattr(Pipeline, name)))
    yield
    os.environ.clear()
    os.environ.update(before)


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def calling(*given: Any, **named: Any) -> Any:
        tracer = sys.gettrace()
        if tracer is None:
            return function(*given, **named)
        sys.settrace(None)
        try:
            return function(*given, **named)
        finally:
            sys.settrace(tracer)
            _resume()

    return calling


def _resume() -> None:
    """Be called: with a call coverage's tracer sets itself up again, before its frame returns."""
