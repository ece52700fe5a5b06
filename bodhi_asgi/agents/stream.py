"""A run as server-sent events, for a view of any framework that streams text.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias

from bodhi_asgi.agents.events import Event, RunFinished
from bodhi_asgi.agents.plain import dumped
from bodhi_asgi.agents.state import AgentState
from bodhi_asgi.errors import BodhiError, Broken

PING: Final = ": ping\n\n"

Keep: TypeAlias = Callable[[AgentState], Awaitable[None]]
"""Puts a paused run where the host finds it again."""

log = logging.getLogger(__name__)


async def event_stream(events: AsyncIterator[Event], keep: Keep | None, ping_s: float) -> AsyncGenerator[str]:
    """A frame for each event; a comment after ``ping_s`` seconds of silence, so that nobody takes it for dead.

    An error is a last frame with the kind ``error``. ``keep`` is awaited before the frame that tells of the pause.
    """
    step: asyncio.Future[Event | None] | None = None
    try:
        while True:
            step = step or asyncio.ensure_future(anext(events, None))
            if not (await asyncio.wait({step}, timeout=ping_s))[0]:
                yield PING
                continue
            event, step = step.result(), None
            if event is None:
                return
            if keep is not None and isinstance(event, RunFinished) and event.result.state is not None:
                await keep(event.result.state)
            yield f"data: {event.json()}\n\n"
    except BodhiError as error:
        yield _error(error)
    except Exception:
        log.exception("a run could not be completed")
        yield _error(Broken("the run could not be completed"))
    finally:
        if step is not None and not step.done():
            step.cancel()
            await asyncio.wait({step})


def _error(error: BodhiError) -> str:
    body = dumped({"kind": "error", "code": error.code, "message": error.message, "param": error.param})
    return f"data: {body}\n\n"
