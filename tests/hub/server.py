"""A hub on the loopback interface: the Hugging Face protocol as clients use it, with a script of faults per route.

Repositories with large files (outside of Git, sent by a second server under another name) and small ones, gated,
private and disabled ones, tokens, paged searches. Each request is kept for assertions.
"""

import asyncio
import hashlib
import json
import re
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.servers import serving

PIECE: Final = 64 * 1024
WHOLE_PIECE: Final = 1024 * 1024
"""Of an answer that nothing shall happen to, so that the server is not what a download waits for."""
PAGE: Final = 2
"""Repositories on a page of a search, so that two pages are easily made."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the next requests of a route, ``times`` times; fields that are not set change nothing."""

    times: int = 1
    status: int | None = None  # answer with this status and nothing else
    headers: Mapping[str, str] = field(default_factory=dict)  # sent with it, or over those of the answer
    cut_after: int | None = None  # close the connection after so many bytes of the body
    hang_after: int | None = None  # send nothing more after so many bytes; 0 is before the headers
    wrong_byte_at: int | None = None  # flip a byte of the file
    longer_by: int = 0  # announce and send a file that is so much longer
    etag: str | None = None  # tell another checksum than the file's
    ignores_ranges: bool = False  # 200 in place of 206
    is_unsized: bool = False  # without a length, so that nobody knows where the end shall be
    location: str | None = None  # redirect there
    call_at: int | None = None  # call ``hook`` when so many bytes have been sent
    hook: Callable[[], None] | None = None
    pause_s: float = 0.0  # wait so long after each piece
    drip_after: int | None = None  # from there on byte by byte, with a call of ``hook`` for each


NO_FAULT: Final = Fault()


@dataclass(frozen=True, slots=True)
class Seen:
    """A request that came: to the ``hub`` or to the ``cdn``, and the bytes of body it got."""

    place: str
    route: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    sent: list[int]

    @property
    def begin(self) -> int:
        """The first byte that was asked for."""
        found = re.match(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes, in memory or in a file, with both of the names that the hub knows them by."""

    data: bytes | Path
    size: int
    sha256: str
    git_sha1: str
    is_large: bool

    @classmethod
    def of(cls, data: bytes | Path, is_large: bool) -> "Content":
        whole = data if isinstance(data, bytes) else data.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(whole) + whole, usedforsecurity=False).hexdigest()
        return cls(data, len(whole), hashlib.sha256(whole).hexdigest(), git, is_large)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_large else self.git_sha1

    def piece(self, begin: int, end: int) -> bytes:
        if isinstance(self.data, bytes):
            return self.data[begin:end]
        with self.data.open("rb") as file:
            file.seek(begin)
            return file.read(end - begin)


@dataclass(slots=True)
class Repo:
    """A repository: its files at each commit, and the commits that branches and tags stand for."""

    id: str
    commits: dict[str, dict[str, Content]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    is_private: bool = False
    is_gated: bool = False
    is_disabled: bool = False
    downloads: int = 0
    tags: tuple[str, ...] = ("gguf",)

    def at(self, revision: str) -> tuple[str, dict[str, Content]] | None:
        commit = self.refs.get(revision, revision)
        return (commit, self.commits[commit]) if commit in self.commits else None


class Hub:
    """What the two servers serve, what shall go wrong, and what they were asked."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, frozenset[str]] = {}
        self.seen: list[Seen] = []
        self.cdn_url: str | None = None
        self.released = asyncio.Event()
        self._faults: dict[str, deque[Fault]] = defaultdict(deque)

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes | Path],
        *,
        revision: str = "main",
        is_private: bool = False,
        is_gated: bool = False,
        is_disabled: bool = False,
        downloads: int = 0,
    ) -> str:
        """Commit ``files`` to a repository, over what it has; the commit. ``.gguf`` and ``.bin`` files are large."""
        kept = self.repos.setdefault(repo, Repo(repo))
        kept.is_private, kept.is_gated, kept.is_disabled = is_private, is_gated, is_disabled
        kept.downloads = downloads
        before = kept.at(revision)
        contents = {name: Content.of(data, name.endswith((".gguf", ".bin"))) for name, data in files.items()}
        tree = {**(before[1] if before else {}), **contents}
        listing = "".join(f"{name}{tree[name].etag}" for name in sorted(tree))
        commit = hashlib.sha1(f"{repo}{listing}".encode(), usedforsecurity=False).hexdigest()
        kept.commits[commit] = tree
        kept.refs[revision] = commit
        return commit

    def allow(self, token: str, *repos: str) -> None:
        """Accept ``token``, which may see these private and gated repositories."""
        self.tokens[token] = frozenset(repos)

    def fault(self, route: str, *faults: Fault) -> None:
        """Script the next requests of ``route``: head, resolve, cdn, models, info, tree, paths, whoami."""
        self._faults[route].extend(faults)

    def mend(self) -> None:
        """Forget all faults, and let go of what hangs."""
        self._faults.clear()
        self.released.set()
        self.released = asyncio.Event()

    def next_fault(self, route: str) -> Fault:
        waiting = self._faults[route]
        if not waiting:
            return NO_FAULT
        fault = waiting.popleft()
        if fault.times > 1:
            waiting.appendleft(replace(fault, times=fault.times - 1))
        return fault

    def requests(self, route: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.route == route]

    @property
    def sent_bytes(self) -> int:
        """Bytes of files that were sent, however often."""
        return sum(sum(seen.sent) for seen in self.seen if seen.route in ("resolve", "cdn"))


class Place:
    """One of the two servers, as an ASGI application."""

    def __init__(self, hub: Hub, name: str) -> None:
        self._hub = hub
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        request = Request(scope, receive)
        path = scope["raw_path"].decode("ascii")
        route, answering = self._route(request.method, path)
        seen = Seen(
            place=self._name,
            route=route,
            method=request.method,
            path=unquote(path),
            query=request.url.query,
            headers=dict(request.headers),
            sent=[],
        )
        self._hub.seen.append(seen)
        fault = self._hub.next_fault(route)
        if fault.hang_after == 0:
            await _until(self._hub.released, receive)
            return
        if fault.location is not None:
            response: ASGIApp = Response(status_code=302, headers={"location": fault.location, **fault.headers})
        elif fault.status is not None:
            response = Response(status_code=fault.status, headers=dict(fault.headers))
        else:
            response = await answering(request, path, fault, seen)
        await response(scope, receive, send)

    def _route(self, method: str, path: str) -> tuple[str, Callable[..., "asyncio.Future[Response]"]]:
        if self._name == "cdn":
            return "cdn", self._cdn
        if path == "/api/whoami-v2":
            return "whoami", self._whoami
        if path == "/api/models":
            return "models", self._models
        if found := re.fullmatch(r"/api/models/[^/]+/[^/]+(/(tree|paths-info|revision)/.*)?", path):
            kinds = {"tree": ("tree", self._tree), "paths-info": ("paths", self._paths)}
            return kinds.get(found[2], ("info", self._info))
        if re.fullmatch(r"/[^/]+/[^/]+/resolve/[^/]+/.+", path):
            return ("head" if method == "HEAD" else "resolve"), self._resolve
        return "other", self._nothing

    async def _nothing(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        return JSONResponse({"error": "Not Found"}, 404)

    async def _whoami(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        token = _token(request)
        if token not in self._hub.tokens:
            return _refusal(401, "", "Invalid credentials in Authorization header")
        return JSONResponse({"type": "user", "name": "somebody", "auth": {"accessToken": {"role": "read"}}})

    async def _models(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        asked = request.query_params
        words = asked.get("search", "").lower()
        tags = set(asked.getlist("filter"))
        visible = [
            repo
            for repo in self._hub.repos.values()
            if words in repo.id.lower() and tags <= set(repo.tags) and (not repo.is_private or self._may(request, repo))
        ]
        visible.sort(key=lambda repo: (-repo.downloads, repo.id))
        begin = int(asked.get("cursor", "0"))
        limit = min(int(asked.get("limit", PAGE)), PAGE)
        answer = JSONResponse([_card(repo) for repo in visible[begin : begin + limit]])
        if begin + limit < len(visible):
            rest = [(name, value) for name, value in asked.multi_items() if name != "cursor"]
            query = urlencode([*rest, ("cursor", str(begin + limit))])
            answer.headers["link"] = f'<{request.base_url}api/models?{query}>; rel="next"'
        answer.headers.update(fault.headers)
        return answer

    async def _info(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        _, _, _, owner, name, *rest = path.split("/")
        found = self._open(request, f"{owner}/{name}", unquote(rest[1]) if rest else "main")
        if isinstance(found, Response):
            return found
        repo, commit, tree = found
        siblings = [_sibling(name, content) for name, content in sorted(tree.items())]
        return JSONResponse({**_card(repo), "sha": commit, "siblings": siblings})

    async def _tree(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        _, _, _, owner, name, _, revision, *_ = path.split("/")
        found = self._open(request, f"{owner}/{name}", unquote(revision))
        if isinstance(found, Response):
            return found
        return JSONResponse([_leaf(name, content) for name, content in sorted(found[2].items())])

    async def _paths(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        _, _, _, owner, name, _, revision = path.split("/")
        found = self._open(request, f"{owner}/{name}", unquote(revision))
        if isinstance(found, Response):
            return found
        body = await request.body()
        try:
            wanted = set(json.loads(body)["paths"])
        except ValueError:
            wanted = {unquote(value.replace("+", " ")) for value in re.findall(r"paths=([^&]*)", body.decode())}
        return JSONResponse([_leaf(name, content) for name, content in found[2].items() if name in wanted])

    async def _resolve(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        _, owner, name, _, revision, *parts = path.split("/")
        found = self._open(request, f"{owner}/{name}", unquote(revision))
        if isinstance(found, Response):
            return found
        repo, commit, tree = found
        if repo.is_gated and not self._may(request, repo):
            told = "Access to this model is restricted. You must have access to it and be authenticated."
            return _refusal(403, "GatedRepo", told)
        content = tree.get(unquote("/".join(parts)))
        if content is None:
            return _refusal(404, "EntryNotFound", "Entry not found", {"x-repo-commit": commit})
        headers = {"x-repo-commit": commit, "etag": f'"{fault.etag or content.etag}"', "accept-ranges": "bytes"}
        if content.is_large:
            headers["x-linked-etag"] = headers["etag"]
            headers["x-linked-size"] = str(content.size + fault.longer_by)
            if self._hub.cdn_url is not None:
                signed = f"{self._hub.cdn_url}/{content.sha256}?signature=of-the-hub"
                return Response(status_code=302, headers={"location": signed, **headers, **fault.headers})
        return self._file(request, content, fault, headers, seen)

    async def _cdn(self, request: Request, path: str, fault: Fault, seen: Seen) -> Response:
        contents = (
            content for repo in self._hub.repos.values() for tree in repo.commits.values() for content in tree.values()
        )
        content = next((content for content in contents if f"/{content.sha256}" == path), None)
        if content is None or request.url.query != "signature=of-the-hub":
            return Response(status_code=403)
        # A content network has checksums of its own.
        return self._file(request, content, fault, {"etag": f'"{content.sha256[:32]}-1"'}, seen)

    def _file(
        self, request: Request, content: Content, fault: Fault, headers: dict[str, str], seen: Seen
    ) -> StreamingResponse:
        size = content.size + fault.longer_by
        begin, end, status = 0, size, 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        unchanged = request.headers.get("if-range") in (None, headers["etag"])
        if asked and unchanged and not fault.ignores_ranges:
            begin, end, status = int(asked[1]), min(int(asked[2] or size - 1) + 1, size), 206
            if begin >= size:
                return StreamingResponse(_no_pieces(), 416, {"content-range": f"bytes */{size}"})
            headers["content-range"] = f"bytes {begin}-{end - 1}/{size}"
        sized = {} if fault.is_unsized else {"content-length": str(end - begin)}
        headers = {**headers, **sized, **fault.headers}
        pieces = _no_pieces() if request.method == "HEAD" else self._pieces(content, begin, end, fault, seen)
        return StreamingResponse(pieces, status, headers, media_type="application/octet-stream")

    async def _pieces(self, content: Content, begin: int, end: int, fault: Fault, seen: Seen) -> AsyncIterator[bytes]:
        first = begin
        most = WHOLE_PIECE if fault is NO_FAULT else PIECE
        places = (fault.cut_after, fault.hang_after, fault.call_at, fault.drip_after)
        stops = sorted(stop for stop in places if stop is not None)
        while begin < end:
            after = next((first + stop for stop in stops if first + stop > begin), end)
            piece = content.piece(begin, min(begin + most, after, end))
            piece = piece or b"\0" * (end - begin)  # beyond the file: what makes it longer than it is
            wrong = fault.wrong_byte_at
            if wrong is not None and begin <= wrong < begin + len(piece):
                changed = bytearray(piece)
                changed[wrong - begin] ^= 0xFF
                piece = bytes(changed)
            if fault.drip_after is not None and begin - first >= fault.drip_after:
                piece = piece[:1]
                if fault.hook is not None:
                    fault.hook()
                await asyncio.sleep(0)  # in which the byte before is received
            yield piece
            begin += len(piece)
            seen.sent.append(len(piece))
            if fault.call_at == begin - first and fault.hook is not None:
                fault.hook()
            if fault.hang_after == begin - first:
                await self._hub.released.wait()
            if fault.cut_after == begin - first:
                raise ConnectionAbortedError("the script says so")
            if fault.pause_s:
                await asyncio.sleep(fault.pause_s)

    def _open(self, request: Request, repo_id: str, revision: str) -> "tuple[Repo, str, dict[str, Content]] | Response":
        repo = self._hub.repos.get(repo_id)
        token = _token(request)
        if token is not None and token not in self._hub.tokens:
            return _refusal(401, "", "Invalid credentials in Authorization header")
        if repo is None or (repo.is_private and not self._may(request, repo)):
            return _refusal(401 if token is None else 404, "RepoNotFound", "Repository not found")
        if repo.is_disabled:
            return _refusal(403, "", "Access to this resource is disabled.")
        at = repo.at(revision)
        if at is None:
            return _refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo, *at

    def _may(self, request: Request, repo: Repo) -> bool:
        return repo.id in self._hub.tokens.get(_token(request) or "", frozenset())


@asynccontextmanager
async def serving_hub(hub: Hub, *, with_cdn: bool = True) -> AsyncIterator[str]:
    """Serve ``hub``, and its large files at a second server under another host name; the hub's address."""
    async with serving(Quiet(Place(hub, "cdn"))) as cdn, serving(Quiet(Place(hub, "hub"))) as endpoint:
        hub.cdn_url = cdn.replace("127.0.0.1", "localhost") if with_cdn else None
        try:
            yield endpoint
        finally:
            hub.mend()


class Quiet:
    """The application, whose connections end where the script cuts them, without a traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except ConnectionAbortedError:
            return  # an answer that is shorter than announced closes the connection


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _until(released: asyncio.Event, receive: Receive) -> None:
    """Wait, without an answer, until the script ends or the client leaves."""

    async def leaving() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    waiting = [asyncio.create_task(released.wait()), asyncio.create_task(leaving())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)


async def _no_pieces() -> AsyncIterator[bytes]:
    return
    yield b""


def _token(request: Request) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else None


def _refusal(status: int, code: str, told: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    named = {"x-error-code": code} if code else {}
    return JSONResponse({"error": told}, status, {**named, "x-error-message": told, **(headers or {})})


def _card(repo: Repo) -> dict[str, object]:
    return {
        "_id": repo.id,
        "id": repo.id,
        "modelId": repo.id,
        "private": repo.is_private,
        "gated": "manual" if repo.is_gated else False,
        "downloads": repo.downloads,
        "likes": 1,
        "tags": list(repo.tags),
        "lastModified": "2026-11-02T10:00:00.000Z",
        "createdAt": "2026-11-01T10:00:00.000Z",
    }


def _sibling(name: str, content: Content) -> dict[str, object]:
    told: dict[str, object] = {"rfilename": name, "size": content.size, "blobId": content.git_sha1}
    if content.is_large:
        told["lfs"] = {"sha256": content.sha256, "size": content.size, "pointerSize": 134}
    return told


def _leaf(name: str, content: Content) -> dict[str, object]:
    told: dict[str, object] = {"type": "file", "path": name, "size": content.size, "oid": content.git_sha1}
    if content.is_large:
        told["lfs"] = {"oid": content.sha256, "size": content.size, "pointerSize": 134}
    return told
