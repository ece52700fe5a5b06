"""Requests that have ended an engine when nothing else was running: refused for a while, by fingerprint."""

from typing import Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.engine.errors import RequestQuarantined

QUARANTINE_S: Final = 600.0

MOST: Final = 1024
"""Fingerprints remembered at once; beyond it the oldest is forgotten."""


class Quarantine:
    """One per model and host process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether there is anybody to look for."""
        return bool(self._until)

    def add(self, fingerprint: str) -> RequestQuarantined:
        """Remember a culprit. Returns the error for whoever sent it."""
        if len(self._until) >= MOST:
            del self._until[next(iter(self._until))]
        self._until[fingerprint] = self._clock.monotonic() + QUARANTINE_S
        return _refusal(QUARANTINE_S)

    def check(self, fingerprint: str) -> None:
        """Raises RequestQuarantined for a known culprit whose time is not over."""
        until = self._until.get(fingerprint)
        if until is None:
            return
        left = until - self._clock.monotonic()
        if left <= 0:
            del self._until[fingerprint]
            return
        raise _refusal(left)


def _refusal(seconds: float) -> RequestQuarantined:
    return RequestQuarantined(
        "this very request has ended the engine twice and is not tried again for a while; change it",
        retry_after_s=seconds,
    )
