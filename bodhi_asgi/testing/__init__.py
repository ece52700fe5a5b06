"""For the test-suites of hosts: models that say what a test has written down, through the real server and its doors.

``with scripted(bodhi_app) as script:`` is all that most tests need. Everything is loaded on first use, so that the
pytest plugin costs a test-suite without language models nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from bodhi_asgi.clock import StillClock
    from bodhi_asgi.testing.answers import Call, Scripted, call
    from bodhi_asgi.testing.asked import Asked, Read
    from bodhi_asgi.testing.errors import NotScripted, ScriptImpossible
    from bodhi_asgi.testing.gate import Gate
    from bodhi_asgi.testing.script import Script
    from bodhi_asgi.testing.stand import Stand, running, scripted
    from bodhi_asgi.testing.trail import assert_audited, audit_trail, audit_trail_now, bearer, bearer_now
    from bodhi_asgi.testing.visits import StreamingTransport, frames, visiting

HOMES: Final = {
    "Asked": "testing.asked",
    "Call": "testing.answers",
    "Gate": "testing.gate",
    "NotScripted": "testing.errors",
    "Read": "testing.asked",
    "Script": "testing.script",
    "ScriptImpossible": "testing.errors",
    "Scripted": "testing.answers",
    "Stand": "testing.stand",
    "StillClock": "clock",
    "StreamingTransport": "testing.visits",
    "assert_audited": "testing.trail",
    "audit_trail": "testing.trail",
    "audit_trail_now": "testing.trail",
    "bearer": "testing.trail",
    "bearer_now": "testing.trail",
    "call": "testing.answers",
    "frames": "testing.visits",
    "running": "testing.stand",
    "scripted": "testing.stand",
    "visiting": "testing.visits",
}
"""Which module each public name lives in."""

__all__ = [
    "Asked",
    "Call",
    "Gate",
    "NotScripted",
    "Read",
    "Script",
    "ScriptImpossible",
    "Scripted",
    "Stand",
    "StillClock",
    "StreamingTransport",
    "assert_audited",
    "audit_trail",
    "audit_trail_now",
    "bearer",
    "bearer_now",
    "call",
    "frames",
    "running",
    "scripted",
    "visiting",
]


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'bodhi_asgi.testing' has no attribute {name!r}")
    value = getattr(import_module(f"bodhi_asgi.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
