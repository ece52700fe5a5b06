"""Downloads at the direct door: the verbs bound to one caller, and a model on its way, to be awaited or followed."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any, Literal, Protocol, Self, TypeVar

from bodhi_asgi.caller import Caller
from bodhi_asgi.downloads.errors import DownloadCancelled, DownloadFailed
from bodhi_asgi.downloads.types import Download, DownloadFilter, DownloadStatus, PullRequest
from bodhi_asgi.errors import NotStarted
from bodhi_asgi.formats.management.downloads import DownloadPage, DownloadShape, encode_download, encode_page
from bodhi_asgi.lifecycle import Lifecycle
from bodhi_asgi.services import Services

T = TypeVar("T")
Verb = Callable[[Services, Caller], Awaitable[T]]
State = Literal["queued", "running", "paused", "completed", "failed", "cancelled"]


class Calls(Protocol):
    """Runs a verb for the caller that a facade is bound to."""

    async def __call__(self, verb: Verb[T], /) -> T: ...


class ModelPull(AsyncIterator[DownloadShape]):
    """A model on its way here. Await it to have it whole; iterate to follow it, from now on and up to its end.

    It goes on when nobody waits. ``now`` is the download as it was last heard of.
    """

    def __init__(self, downloads: "Downloads", now: DownloadShape) -> None:
        self._downloads = downloads
        self._following: AsyncGenerator[Download] | None = None
        self.now = now

    @property
    def id(self) -> str:
        """Of the download, for the other verbs."""
        return self.now.id

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DownloadShape:
        if self._following is None:
            self._following = await self._downloads.following(self.id)
        self.now = await self._downloads.next_of(self._following)
        return self.now

    def __await__(self) -> Generator[Any, None, DownloadShape]:
        return self.wait().__await__()

    async def wait(self) -> DownloadShape:
        """The complete download. Raises DownloadFailed with the reason, or DownloadCancelled. A pause is waited out."""
        async for _ in self:
            pass
        if self.now.state == "failed":
            raise DownloadFailed(
                f"'{self.now.filename}' of '{self.now.repo}' was not downloaded: {self.now.error}",
                cause=self.now.error_code,
            )
        if self.now.state == "cancelled":
            raise DownloadCancelled(f"the download of '{self.now.filename}' of '{self.now.repo}' was cancelled")
        return self.now

    async def aclose(self) -> None:
        """Follow it no longer; it goes on. Idempotent."""
        if self._following is not None:
            await self._downloads.close(self._following)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class Downloads:
    """The verbs on downloads. They need ``models:write``; the models of a machine belong to all who manage it."""

    def __init__(self, call: Calls, lifecycle: Lifecycle[Services]) -> None:
        self._call = call
        self._lifecycle = lifecycle

    async def pull(self, reference: str) -> ModelPull:
        """See :meth:`bodhi_asgi.facade.Bodhi.pull_model`."""

        async def verb(services: Services, caller: Caller) -> Download:
            named = services.hub.parse(reference)
            wanted = PullRequest(repo=named.repo, revision=named.revision, filename=named.file, quant=named.quant)
            return (await services.downloads.pull(caller, wanted)).download

        return ModelPull(self, encode_download(await self._call(verb)))

    async def list(
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
        wanted = DownloadFilter(
            statuses=frozenset(map(DownloadStatus, states)),
            archived=archived,
            search=search,
            sort=sort,
            descending=descending,
        )
        found = await self._call(
            lambda services, caller: services.downloads.list(caller, wanted, page=page, page_size=page_size)
        )
        return encode_page(found)

    async def get(self, download_id: str) -> DownloadShape:
        """One download. Raises DownloadNotFound."""
        return await self._one(lambda services, caller: services.downloads.get(caller, download_id))

    async def pause(self, download_id: str) -> DownloadShape:
        """Stop it and keep what has arrived. Raises DownloadNotFound, and DownloadEnded at its end."""
        return await self._one(lambda services, caller: services.downloads.pause(caller, download_id))

    async def resume(self, download_id: str) -> DownloadShape:
        """Go on with a paused one. Raises DownloadNotFound, and DownloadEnded at its end."""
        return await self._one(lambda services, caller: services.downloads.resume(caller, download_id))

    async def cancel(self, download_id: str) -> DownloadShape:
        """Stop it and throw away what is not whole. Raises DownloadNotFound, and DownloadEnded when it is complete."""
        return await self._one(lambda services, caller: services.downloads.cancel(caller, download_id))

    async def retry(self, download_id: str) -> DownloadShape:
        """Try a failed or cancelled one again. Raises DownloadNotFound and NotRetryable."""
        return await self._one(lambda services, caller: services.downloads.retry(caller, download_id))

    async def archive(self, download_id: str) -> DownloadShape:
        """Put one at its end out of sight. Raises DownloadNotFound and CannotArchiveActive."""
        return await self._one(lambda services, caller: services.downloads.archive(caller, download_id))

    async def follow(self, download_id: str) -> ModelPull:
        """A download by its id, to be waited for or iterated. Raises DownloadNotFound."""
        return ModelPull(self, await self.get(download_id))

    async def following(self, download_id: str) -> AsyncGenerator[Download]:
        """What :class:`ModelPull` reads from."""
        return await self._call(lambda services, caller: services.downloads.follow(caller, download_id))

    async def next_of(self, following: AsyncGenerator[Download]) -> DownloadShape:
        """The next word of a download, heard on the server's own event loop. Raises StopAsyncIteration at its end.

        Raises ShuttingDown when the server is told to stop; the download goes on at its next start.
        """
        return encode_download(await self._lifecycle.next_of(lambda: anext(following)))

    async def close(self, following: AsyncGenerator[Download]) -> None:
        """Listen no more."""
        with suppress(NotStarted):
            await self._lifecycle.run(lambda _: following.aclose(), start=False)

    async def _one(self, verb: Verb[Download]) -> DownloadShape:
        return encode_download(await self._call(verb))
