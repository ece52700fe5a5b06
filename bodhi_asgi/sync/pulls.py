"""The synchronous twins of :mod:`bodhi_asgi.pulls`. Made by docs/generate_sync.py; change that module."""

from bodhi_asgi.formats.management.downloads import DownloadPage, DownloadShape
from bodhi_asgi.pulls import Downloads, State
from bodhi_asgi.sync.stream import SyncModelPull
from bodhi_asgi.sync.twin import Twin


class SyncDownloads(Twin[Downloads]):
    """The verbs on downloads. They need ``models:write``; the models of a machine belong to all who manage it."""

    def pull(self, reference: str) -> SyncModelPull:
        """See :meth:`SyncBodhi.pull_model`."""
        return SyncModelPull(self._wait(self._of.pull, reference))

    def list(
        self,
        *,
        states: "frozenset[State] | set[State]" = frozenset(),
        archived: bool | None = None,
        search: str = "",
        sort: str = "created_at",
        descending: bool = True,
        page: int = 1,
        page_size: int = 30,
    ) -> DownloadPage:
        """Downloads, the newest first unless said otherwise, at most 100 a page."""
        return self._wait(
            self._of.list,
            states=states,
            archived=archived,
            search=search,
            sort=sort,
            descending=descending,
            page=page,
            page_size=page_size,
        )

    def get(self, download_id: str) -> DownloadShape:
        """One download. Raises DownloadNotFound."""
        return self._wait(self._of.get, download_id)

    def pause(self, download_id: str) -> DownloadShape:
        """Stop it and keep what has arrived. Raises DownloadNotFound, and DownloadEnded at its end."""
        return self._wait(self._of.pause, download_id)

    def resume(self, download_id: str) -> DownloadShape:
        """Go on with a paused one. Raises DownloadNotFound, and DownloadEnded at its end."""
        return self._wait(self._of.resume, download_id)

    def cancel(self, download_id: str) -> DownloadShape:
        """Stop it and throw away what is not whole. Raises DownloadNotFound, and DownloadEnded when it is complete."""
        return self._wait(self._of.cancel, download_id)

    def retry(self, download_id: str) -> DownloadShape:
        """Try a failed or cancelled one again. Raises DownloadNotFound and NotRetryable."""
        return self._wait(self._of.retry, download_id)

    def archive(self, download_id: str) -> DownloadShape:
        """Put one at its end out of sight. Raises DownloadNotFound and CannotArchiveActive."""
        return self._wait(self._of.archive, download_id)

    def follow(self, download_id: str) -> SyncModelPull:
        """A download by its id, to be waited for or iterated. Raises DownloadNotFound."""
        return SyncModelPull(self._wait(self._of.follow, download_id))
