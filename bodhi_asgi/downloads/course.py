"""How far a running download is, told to whoever listens in this process."""

from collections.abc import Callable
from dataclasses import replace

from bodhi_asgi.clock import Clock
from bodhi_asgi.downloads.rate import Rate
from bodhi_asgi.downloads.types import Download
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import DownloadProgressed


class Course:
    """Counts the bytes of all files of a download that are on the disk, and how fast they come."""

    def __init__(self, download: Download, events: EventBus, clock: Clock) -> None:
        self._download = download
        self._events = events
        self._clock = clock
        self._bytes: dict[str, int] = {}
        self._rate = Rate()
        self.is_moving = False
        """Whether anything has arrived in this attempt."""

    def plan(self, download: Download) -> None:
        """It is known now which files it brings."""
        self._download = download

    def progress_of(self, filename: str) -> Callable[[int, int], None]:
        """What the fetcher of a file tells its progress to."""

        def tell(done: int, _: int) -> None:
            before = self._bytes.get(filename)
            # The first word is of what an earlier attempt has left.
            self.is_moving = self.is_moving or (before is not None and done > before)
            self._bytes[filename] = done
            self._rate.mark(self._clock.monotonic(), sum(self._bytes.values()))
            self._events.publish(progressed(self.snapshot()))

        return tell

    def snapshot(self) -> Download:
        """The download as it is now."""
        here = min(sum(self._bytes.values()), self._download.total_bytes)
        rate = max(0, self._rate.per_second(self._clock.monotonic()))
        return replace(self._download, downloaded_bytes=here, bytes_per_second=rate)


def progressed(download: Download) -> DownloadProgressed:
    """The event that tells of a download as it is."""
    return DownloadProgressed(
        download_id=download.id,
        repo=download.repo,
        status=str(download.status),
        downloaded_bytes=download.downloaded_bytes,
        total_bytes=download.total_bytes,
        bytes_per_second=download.bytes_per_second,
    )
