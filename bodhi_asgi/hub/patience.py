"""When to try again: after a while that doubles, is never the same for two, and is as long as the hub asks for."""

import asyncio
from random import SystemRandom
from typing import Final

from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.refusals import Passing

LONGEST_DELAY_S: Final = 30.0
LONGEST_ASKED_S: Final = 120.0
"""Who is asked to wait for longer tells his caller, who may have better to do."""


class Patience:
    """Counts attempts that brought nothing."""

    def __init__(self, access: HubAccess) -> None:
        self._access = access
        self._random = SystemRandom()
        self._failures = 0

    def gather(self) -> None:
        """Something has come of it: begin to count anew."""
        self._failures = 0

    async def wait(self, passing: Passing) -> None:
        """Wait for the next attempt. Raises what went wrong when there shall be none."""
        asked = passing.error.retry_after_s
        if self._failures >= self._access.retries or (asked is not None and asked > LONGEST_ASKED_S):
            raise passing.error from passing
        delay = min(LONGEST_DELAY_S, self._access.first_delay_s * 2**self._failures)
        self._failures += 1
        delay *= self._random.uniform(0.5, 1.0)
        await asyncio.sleep(delay if asked is None else asked + min(delay, 1.0))
