"""One tool call from its text to its result: read, made within its time, told to the model without internals.

Nothing a tool does ends the run: what goes wrong is an event and a result that the model can read.
"""

import asyncio
import inspect
import logging
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from bodhi_asgi.agents.context import ToolContext
from bodhi_asgi.agents.errors import ToolRefused
from bodhi_asgi.agents.events import ToolFailed, ToolReturned
from bodhi_asgi.agents.plain import told
from bodhi_asgi.agents.state import Call
from bodhi_asgi.agents.threads import Threads, ThreadsBusy
from bodhi_asgi.agents.tool import Tool

GRACE_S: Final = 1.0
"""Seconds for a tool to end after its cancellation. One that swallows it is left behind."""

log = logging.getLogger(__name__)


class _OutOfTime(Exception):
    """Our own word, because a tool may have a TimeoutError of its own."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that can be made: its tool, its arguments as Python values and as the JSON they came from."""

    call: Call
    tool: Tool
    arguments: dict[str, Any]


def failed(call: Call, code: str, message: str) -> ToolFailed:
    """The event of a call without a result."""
    return ToolFailed(call.id, call.name, code, message)


def content_of(event: ToolReturned | ToolFailed) -> str:
    """What the model reads as the result."""
    return event.content if isinstance(event, ToolReturned) else told({"error": event.message})


async def perform(
    ready: Ready, context: ToolContext[Any], threads: Threads, *, timeout_s: float, result_bytes: int
) -> ToolReturned | ToolFailed:
    """Make the call. Raises nothing but the caller's own cancellation."""
    call = ready.call
    try:
        value = await _within(_made(ready, context, threads), timeout_s)
        content = told(value)
    except _OutOfTime:
        log.warning("a tool did not end in time", extra={"tool": call.name, "timeout_s": timeout_s})
        return failed(call, "timeout", f"the tool did not end within {timeout_s:.3g} seconds")
    except ToolRefused as error:
        return failed(call, "refused", error.message)
    except ThreadsBusy:
        log.warning("a plain tool found no free thread", extra={"tool": call.name})
        return failed(call, "busy", "the tool is busy; try again later")
    except Exception:
        log.exception("a tool failed", extra={"tool": call.name})
        return failed(call, "failed", "the tool failed")
    size = len(content.encode())
    if size > result_bytes:
        return failed(call, "result_too_long", f"the result has {size} bytes, and at most {result_bytes} can be read")
    return ToolReturned(call.id, call.name, content)


async def _made(ready: Ready, context: ToolContext[Any], threads: Threads) -> Any:
    arguments = ready.arguments
    signature = ready.tool.signature
    if signature.context is not None:
        arguments = {**arguments, signature.context: context}
    function = partial(ready.tool.function, **arguments)
    value = function() if signature.is_async else await threads.run(function, ready.tool.name)
    return await value if inspect.isawaitable(value) else value


async def _within(work: Any, timeout_s: float) -> Any:
    """What ``work`` gives within ``timeout_s``. It runs in a task, so that it cannot hold us by refusing to end."""
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=timeout_s)
    except asyncio.CancelledError:
        await _ended(task)
        raise
    if not done:
        await _ended(task)
        raise _OutOfTime
    if task.cancelled():
        raise RuntimeError("the tool cancelled itself")
    return task.result()


async def _ended(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE_S)
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
