"""How long a test waits for something that has to happen before it fails: only ever reached by what went wrong."""

from typing import Final

PATIENCE_S: Final = 60.0
"""Long enough for a machine with a hundred other tests on it."""


def late(what: str, timeout_s: float) -> AssertionError:
    """The failure of a test that has waited for nothing."""
    return AssertionError(f"{what} within {timeout_s:g} s")
