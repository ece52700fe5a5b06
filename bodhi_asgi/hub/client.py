"""What the hub has: repositories by words, and the files of one; asked through our own connections.

huggingface_hub asks through one client that everything in a process shares, the host's own code included. So what is
asked here has the guard on addresses, the proxy, the token and the patience of the files themselves. Answers are
believed in what they say plainly, and up to a size.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, TypeVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from pydantic import TypeAdapter, ValidationError

from bodhi_asgi.errors import Invalid
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubOffline, HubUnreachable
from bodhi_asgi.hub.folder import COMMIT
from bodhi_asgi.hub.listing import Detailed, Listed, files_of, summary_of
from bodhi_asgi.hub.patience import Patience
from bodhi_asgi.hub.reference import check_repo, check_revision
from bodhi_asgi.hub.refusals import PASSING_STATUSES, Passing, refusal
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import MAIN, HubFile, RepoDetails, RepoSummary

T = TypeVar("T")

MAX_WORDS: Final = 200
MAX_FOUND: Final = 100
MAX_PAGES: Final = 100
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of one answer: ten thousand files take a quarter of that."""
MAX_RETRIES: Final = 2
"""Somebody waits for the answer, who can ask again himself."""
KIND: Final = "gguf"
WANTED: Final = ("downloads", "likes", "gated", "private", "lastModified", "tags")

PAGE: Final = TypeAdapter(list[Listed])
REPO: Final = TypeAdapter(Detailed)


class HubClient:
    """Searches and lists. Each question has ``hub.answer_timeout_s`` in all."""

    def __init__(self, transport: HubTransport) -> None:
        self._transport = transport
        self._access = transport.access

    async def search(self, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories with GGUF files whose names have ``words``, most downloaded first, 1 to 100 of them.

        Raises Invalid, HubUnreachable, HubRateLimited, HubTokenRefused, HubAnswerInvalid, HubOffline, ProxyRefused and
        RedirectRefused.
        """
        if not 0 < len(words.strip()) <= MAX_WORDS or not words.isprintable():
            raise Invalid(f"'search' has {len(words)} characters: 1 to {MAX_WORDS} are accepted", param="search")
        if not 1 <= limit <= MAX_FOUND:
            raise Invalid(f"'limit' is {limit}: from 1 to {MAX_FOUND} is accepted", param="limit")
        async with self._in_time():
            return await self._found(words.strip(), limit)

    async def details(self, repo: str, revision: str = MAIN) -> RepoDetails:
        """A repository at a revision, with the sizes and checksums of its files; names that are tricks are left out.

        Raises HubReferenceInvalid, RepositoryNotFound, RepositoryGated, RepositoryDisabled, RevisionNotFound and what
        :meth:`search` does.
        """
        check_repo(repo)
        check_revision(revision)
        url = f"{self._access.endpoint}/api/models/{repo}/revision/{quote(revision, safe='')}?blobs=true"
        async with self._in_time():
            told, _ = await self._ask(url, REPO, HubFile(repo, "", revision))
        summary = summary_of(told)
        if summary is None or COMMIT.fullmatch(told.sha) is None:
            raise HubAnswerInvalid(f"the hub does not say at which commit '{repo}' is; is it a hub?", repo=repo)
        return RepoDetails(summary, told.sha, await asyncio.to_thread(files_of, told))

    async def _found(self, words: str, limit: int) -> tuple[RepoSummary, ...]:
        query = [("search", words), ("filter", KIND), ("sort", "downloads"), ("limit", str(limit))]
        query += [("expand", name) for name in WANTED]
        found: list[RepoSummary] = []
        for _ in range(MAX_PAGES):
            told, headers = await self._ask(f"{self._access.endpoint}/api/models?{urlencode(query)}", PAGE, None)
            found += [summary for each in told if (summary := summary_of(each)) is not None]
            query = _next_page(headers)
            if len(found) >= limit or not told or not query:
                break
        return tuple(found[:limit])

    async def _ask(self, url: str, shape: TypeAdapter[T], file: HubFile | None) -> tuple[T, Mapping[str, str]]:
        patience = Patience(replace(self._access, retries=min(self._access.retries, MAX_RETRIES)))
        while True:
            try:
                async with self._transport.asking("GET", url) as answer:
                    _refuse(answer, file)
                    body = await _body(answer)
                    told = await asyncio.to_thread(shape.validate_json, body)
                    return told, answer.response.headers
            except Passing as passing:
                await patience.wait(passing)
            except ValidationError:
                raise HubAnswerInvalid("the hub's answer cannot be understood; is it a hub?") from None

    def _in_time(self) -> "_InTime":
        if self._access.is_offline:
            raise HubOffline("the hub is not asked, because hub.mode is 'offline'")
        return _InTime(self._access.answer_timeout_s)


class _InTime:
    """All of a question within its time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            await self._timeout.__aexit__(*exc_info)  # type: ignore[arg-type]
        except TimeoutError:
            raise HubUnreachable(f"the hub did not answer within {self._seconds:g} s") from None


def _refuse(answer: Answer, file: HubFile | None) -> None:
    status = answer.response.status_code
    if status == 200:
        return
    if file is None and status == 404:
        raise HubAnswerInvalid("the hub cannot be searched; is it a hub?", status=status)
    error = refusal(status, answer.response.headers, file.repo if file else "", file)
    raise Passing(error) if status in PASSING_STATUSES else error


async def _body(answer: Answer) -> bytes:
    body = bytearray()
    async for piece in answer.response.aiter_bytes():
        body += piece
        if len(body) > MAX_BYTES:
            raise HubAnswerInvalid(f"the hub's answer has more than {MAX_BYTES:,} bytes")
    return bytes(body)


def _next_page(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What to ask for next, of the same endpoint: where a mirror repeats the hub's own address, it is not followed."""
    for link in headers.get("link", "").split(","):
        address, _, kind = link.partition(";")
        if 'rel="next"' in kind:
            try:
                return parse_qsl(urlsplit(address.strip(" <>")).query)
            except ValueError:
                return []
    return []
