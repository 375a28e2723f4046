"""How many runs go on at once: in all, for one provider, and of one job for one provider.

An API that hangs, or a function that does, keeps its places until the deadline. The bounds are
nested so that it never keeps all of them, and the runs of other providers and jobs go on.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

#: Child processes at once: each is a Python of its own, some 40 MiB.
IN_ALL: Final = 16
#: Half of them, so that one provider that hangs leaves the other half.
FOR_A_PROVIDER: Final = 8
#: Of one job for one provider: a job that hangs leaves some to the provider's other jobs, and where
#: it hangs at one of its providers, its runs for another go on.
OF_A_JOB: Final = 6


class Places:
    """Places for runs, given in the order in which they were asked for."""

    def __init__(self) -> None:
        self._in_all = asyncio.Semaphore(IN_ALL)
        self._for_provider = defaultdict[str, asyncio.Semaphore](
            lambda: asyncio.Semaphore(FOR_A_PROVIDER)
        )
        self._of_job = defaultdict[tuple[str, str], asyncio.Semaphore](
            lambda: asyncio.Semaphore(OF_A_JOB)
        )

    @asynccontextmanager
    async def take(self, job: str, provider: str) -> AsyncIterator[None]:
        """Wait for a place and keep it.

        The narrowest bound comes first, so that who waits there takes no place from others.

        Args:
            job: the job's name.
            provider: the name of the account's provider.
        """
        of_job = self._of_job[job, provider]
        async with of_job, self._for_provider[provider], self._in_all:
            yield
