"""A user's module: its function is imported, and where it failed is told in its own lines."""

import asyncio
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from connector.jobs.channel import LONGEST_TEXT

#: Frames of these folders are ours or the event loop's, and say nothing of a user's function.
_AROUND: Final = tuple(
    f"{Path(file).parent}{os.sep}" for file in (__file__, asyncio.__file__, importlib.__file__)
)


def load_function(run: str, folder: str) -> Callable[..., object]:
    """Import ``module:function``; modules beside the configuration are found first.

    Raises:
        ImportError, AttributeError: as Python does, and whatever the module raises.
    """
    sys.path.insert(0, folder)
    module_name, _, name = run.partition(":")
    function = getattr(importlib.import_module(module_name), name)
    if not callable(function):
        raise ImportError(f"{run} is not callable")
    return cast("Callable[..., object]", function)


def describe_failure(error: BaseException, folder: str) -> str:
    """Say what a user's module or function raised, and in which of its lines."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_file():
        # no frame is in a file that was never run
        place = f" ({error.filename}, line {error.lineno})"
        return f"{type(error).__name__}: {error.msg}{place}"
    return f"{type(error).__name__}: {_text(error)}{_place(error, folder)}"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:LONGEST_TEXT]
    except Exception as broken:  # noqa: BLE001 - of a class of the user's
        return f"(what it says raises {type(broken).__name__})"


def _place(error: BaseException, folder: str) -> str:
    """Say where it failed: in the last line of the user's, not of a library's."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((*_AROUND, "<frozen importlib"))
    ]
    theirs = [frame for frame in frames if frame.filename.startswith(f"{folder}/")]
    for frame in (*theirs[-1:], *frames[:1]):
        return f" ({frame.filename}, line {frame.lineno})"
    return ""
