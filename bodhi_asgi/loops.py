"""Which event loop runs here, asked where there may be none."""

import asyncio


def this_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread; None without one, and in somebody else's kind of one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
