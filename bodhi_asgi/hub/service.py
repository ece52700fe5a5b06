"""The hub as the rest of the house knows it: what a reference means, what a file is, and a file brought into the cache.

It knows no callers: who may pull what is asked by those who call it. Everything heavy is imported when it is needed.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.folder import RepoFolder
from bodhi_asgi.hub.reference import parse
from bodhi_asgi.hub.types import MAIN, HubFile, HubReference, RemoteFile, RepoDetails, RepoSummary

if TYPE_CHECKING:
    from bodhi_asgi.gguf.types import GgufHeader
    from bodhi_asgi.hub.client import HubClient
    from bodhi_asgi.hub.fetch import FetchedFile
    from bodhi_asgi.hub.receiver import Progress
    from bodhi_asgi.hub.transport import HubTransport


class HubService:
    """One server's way to its hub. Used from one event loop; close it."""

    def __init__(self, *, access: HubAccess, cache: Path) -> None:
        self.access = access
        self.cache = cache
        self._opened: HubTransport | None = None
        self._client: HubClient | None = None

    async def aclose(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = self._client = None

    def parse(self, text: str, *, param: str = "model") -> HubReference:
        """What ``text`` names; addresses of the configured endpoint count as the hub's. Raises HubReferenceInvalid."""
        return parse(text, hosts=self.access.hosts, param=param)

    async def search(self, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories by words; see :meth:`bodhi_asgi.hub.client.HubClient.search`."""
        return await self._listing().search(words, limit=limit)

    async def details(self, repo: str, revision: str = MAIN) -> RepoDetails:
        """The files of a repository; see :meth:`bodhi_asgi.hub.client.HubClient.details`."""
        return await self._listing().details(repo, revision)

    async def describe(self, file: HubFile) -> RemoteFile:
        """What the hub says of a file; see :func:`bodhi_asgi.hub.fetch.describe` for what it raises."""
        from bodhi_asgi.hub.fetch import describe

        return await describe(self._transport(), file)

    async def fetch(self, file: HubFile, *, progress: "Progress | None" = None) -> "FetchedFile":
        """Bring a file into the cache; see :func:`bodhi_asgi.hub.fetch.fetch` for how, and for what it raises."""
        from bodhi_asgi.hub.fetch import fetch

        return await fetch(self._transport(), file, self.cache, progress=progress)

    async def read(self, file: HubFile, begin: int, end: int) -> bytes:
        """The bytes of a file from ``begin`` up to, and without, ``end``, before it is fetched.

        Raises what :meth:`describe` does.
        """
        from bodhi_asgi.hub.peek import read

        return await read(self._transport(), file, begin, end)

    async def peek(self, file: HubFile) -> "tuple[RemoteFile, GgufHeader]":
        """What the hub says of a GGUF file, and its header. Raises what :meth:`describe` does, and GgufInvalid."""
        from bodhi_asgi.hub.peek import peek

        return await peek(self._transport(), file)

    async def note(self, repo: str, revision: str, commit: str) -> None:
        """Remember that ``revision`` is at ``commit``, once what was wanted of that commit is in the cache."""
        await asyncio.to_thread(RepoFolder(self.cache, repo).note, revision, commit)

    def _listing(self) -> "HubClient":
        from bodhi_asgi.hub.client import HubClient

        if self._client is None:
            self._client = HubClient(self._transport())
        return self._client

    def _transport(self) -> "HubTransport":
        from bodhi_asgi.hub.transport import HubTransport

        if self._opened is None:
            self._opened = HubTransport(self.access)
        return self._opened
