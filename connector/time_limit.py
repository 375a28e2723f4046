"""A call that may never return, with a time limit: a keyring that asks a person who is not there.

It runs in a thread that is left behind when it takes too long, and that no end of the process waits
for (CHECKLIST 124).
"""

import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

#: Seconds that a keyring may take: it must not hang a daemon, and no person who is there is slower
#: to be shown a prompt.
KEYRING_TIME: Final = 5.0


def call_within(seconds: float, call: Callable[[], T]) -> T:
    """Give what a call gives, or raise what it raises.

    Args:
        seconds: for which it is waited for.
        call: runs in a thread of its own.

    Raises:
        TimeoutError: it has not returned.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - backends raise what they like
            failures.append(error)

    thread = threading.Thread(target=run, name="keyring", daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if failures:
        raise failures[0]
    raise TimeoutError(f"no answer within {seconds:g} s")
