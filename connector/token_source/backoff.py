"""How long to wait after a failure: exponential, with full jitter, capped.

Full jitter (a uniform draw from zero to the bound) spreads many clients best; a tenth of the bound
is kept as the least, so that a failure is never retried at once.
"""

import random
from collections.abc import Callable
from typing import Final

FIRST_BOUND: Final = 1.0
LONGEST_BOUND: Final = 300.0
_LEAST_SHARE: Final = 0.1


def backoff(failures: int, *, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Give seconds to wait after so many failures in a row.

    Args:
        failures: at least one.
        uniform: source of randomness.
    """
    bound = min(LONGEST_BOUND, FIRST_BOUND * 2.0 ** min(failures - 1, 16))
    return max(bound * _LEAST_SHARE, uniform(0.0, bound))
