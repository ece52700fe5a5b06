"""The ASGI lifespan protocol from both of its sides, and lifespans put together.

A failed start is always said and never raised: three of the servers there are would take an exception for an
application that knows no lifespan, and serve a half-started one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.errors import BodhiError, Broken, NotStarted

log = logging.getLogger(__name__)

Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def combine_lifespans(*lifespans: Lifespan) -> Lifespan:
    """One lifespan of several: entered in order, left in reverse, their states merged, later ones winning."""

    @asynccontextmanager
    async def combined(app: Any) -> AsyncIterator[dict[str, Any]]:
        state: dict[str, Any] = {}
        async with AsyncExitStack() as stack:
            for lifespan in lifespans:
                added = await stack.enter_async_context(lifespan(app))
                state.update(added or {})
            yield state

    return combined


async def serve_lifespan(lifespan: Lifespan, scope: Scope, receive: Receive, send: Send) -> None:
    """Speak the lifespan protocol. A failed start is said, never raised: three servers would serve on regardless."""
    has_started = False
    await receive()
    try:
        async with lifespan(scope.get("app")) as state:
            if state and "state" in scope:
                scope["state"].update(state)
            await send({"type": "lifespan.startup.complete"})
            has_started = True
            await receive()
    except Exception as error:
        message = f"bodhi: {error.message}" if isinstance(error, BodhiError) else f"bodhi: {type(error).__name__}"
        log.critical("%s", message, exc_info=None if isinstance(error, BodhiError) else error)
        kind = "lifespan.shutdown.failed" if has_started else "lifespan.startup.failed"
        await send({"type": kind, "message": message})
        return
    await send({"type": "lifespan.shutdown.complete"})


class LifespanOf:
    """Runs the lifespan of an ASGI application as a context manager that yields its state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._state: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Mapping[str, Any]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        self._to_app.put_nowait({"type": "lifespan.startup"})
        answer = await self._answer()
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.exception()  # said already; read, so that nobody warns of it later
            raise NotStarted(f"the wrapped application could not start: {_last_line(answer)}")
        return self._state

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None and not self._task.done():
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            answer = await self._answer()
            await asyncio.wait([self._task])
            if answer is not None and answer["type"] == "lifespan.shutdown.failed":
                raise Broken(f"the wrapped application could not stop: {_last_line(answer)}")

    async def _answer(self) -> MutableMapping[str, Any] | None:
        """What the application says next; None when it knows no lifespan and has returned or raised."""
        assert self._task is not None
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        if not self._task.cancelled() and self._task.exception() is not None:
            log.debug("the wrapped application has no lifespan", exc_info=self._task.exception())
        return None


def _last_line(answer: Mapping[str, Any]) -> str:
    """What an application says of its failure; Starlette sends a whole traceback, whose last line says it."""
    lines = str(answer.get("message", "")).split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it does not say why")
