"""Tells of a download from now to its end: by events while it runs in this process, by looking while in another."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from bodhi_asgi.downloads.types import ENDED, Download, DownloadStatus
from bodhi_asgi.errors import ShuttingDown
from bodhi_asgi.events.bus import EventBus, Subscription
from bodhi_asgi.events.types import DownloadProgressed

LOOK_S: Final = 1.0
"""Seconds without an event, after which the database is asked."""


async def follow(
    events: EventBus, look: Callable[[], Awaitable[Download]], download_id: str
) -> AsyncGenerator[Download]:
    """The download now, and again whenever something about it has changed. Ends with its end."""
    with events.subscribe(DownloadProgressed) as news:
        shown: Download | None = None
        download = await look()
        while True:
            if download != shown:
                shown = download
                yield download
            if download.status in ENDED:
                return
            event = await _next_of(news, download_id)
            running = event is not None and event.status == download.status == DownloadStatus.RUNNING
            if event is not None and running:
                download = replace(
                    download, downloaded_bytes=event.downloaded_bytes, bytes_per_second=event.bytes_per_second
                )
            else:
                download = await look()


async def _next_of(news: Subscription[DownloadProgressed], download_id: str) -> DownloadProgressed | None:
    """The next event of this download, or None after a while."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_S):
            async for event in news:
                if event.download_id == download_id:
                    return event
            raise ShuttingDown("the server is shutting down; the download goes on when it is started again")
    return None
