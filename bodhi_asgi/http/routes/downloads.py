"""Downloads from the hub, in the management dialect: pull, list, get, steer, and follow as server-sent events."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response

from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.downloads.store import SORTABLE
from bodhi_asgi.downloads.types import Download, DownloadFilter, DownloadStatus
from bodhi_asgi.errors import Invalid, Kind
from bodhi_asgi.formats.management.downloads import (
    DownloadPage,
    DownloadShape,
    NewDownloadRequest,
    decode_pull,
    encode_download,
    encode_page,
)
from bodhi_asgi.http.errors import error_frame, json_response
from bodhi_asgi.http.query import PAGE_QUERY, page_of, phrase, truth, word, words
from bodhi_asgi.http.route import Call, Dialect, Route
from bodhi_asgi.http.stream import EventStream, frame
from bodhi_asgi.validation import validated

STATUSES = tuple(status.value for status in DownloadStatus)
ORDERS = ("asc", "desc")
LIST_QUERY = {
    **PAGE_QUERY,
    "sort": {"type": "string", "enum": list(SORTABLE), "default": "created_at"},
    "sort_order": {"type": "string", "enum": list(ORDERS), "default": "desc"},
    "state": {"type": "string", "description": f"Any of {', '.join(STATUSES)}, with commas between."},
    "archived": {"type": "boolean"},
    "search": {"type": "string", "maxLength": 200, "description": "Part of a repository's or a file's name."},
}


async def pull(call: Call) -> Response:
    """Have files brought here: 201 for a new download, 200 for one that is on its way already."""
    asked = validated(NewDownloadRequest, await call.json())
    if asked.filename is not None and asked.quant is not None:
        raise Invalid("'filename' and 'quant' are both given; name one of them", param="quant")
    pulled = await call.services.downloads.pull(call.caller, decode_pull(asked))
    return _answer(pulled.download, 201 if pulled.is_new else 200)


async def list_downloads(call: Call) -> Response:
    """Downloads, the newest first unless said otherwise."""
    wanted = DownloadFilter(
        statuses=frozenset(map(DownloadStatus, words(call, "state", STATUSES))),
        archived=truth(call, "archived"),
        search=phrase(call, "search"),
        sort=word(call, "sort", tuple(SORTABLE), "created_at"),
        descending=word(call, "sort_order", ORDERS, "desc") == "desc",
    )
    page = await call.services.downloads.list(call.caller, wanted, **page_of(call))
    return json_response(encode_page(page).model_dump())


async def get(call: Call) -> Response:
    """One download."""
    return _answer(await call.services.downloads.get(call.caller, call.path["id"]))


async def pause(call: Call) -> Response:
    """Stop a download and keep what has arrived."""
    return await _steered(call, call.services.downloads.pause)


async def resume(call: Call) -> Response:
    """Go on with a paused download."""
    return await _steered(call, call.services.downloads.resume)


async def cancel(call: Call) -> Response:
    """Stop a download and throw away what is not whole."""
    return await _steered(call, call.services.downloads.cancel)


async def retry(call: Call) -> Response:
    """Try a failed or cancelled download again."""
    return await _steered(call, call.services.downloads.retry)


async def archive(call: Call) -> Response:
    """Put a download that is at its end out of sight."""
    return await _steered(call, call.services.downloads.archive)


async def follow(call: Call) -> EventStream:
    """The download now and whenever it has changed, one event each, up to its end."""
    following = await call.services.downloads.follow(call.caller, call.path["id"])
    return EventStream(_frames(following), error_frame(Dialect.MANAGEMENT), following.aclose)


async def _frames(following: AsyncGenerator[Download]) -> AsyncGenerator[bytes]:
    async with aclosing(following):
        async for download in following:
            yield frame(orjson.dumps(encode_download(download).model_dump()))


async def _steered(call: Call, verb: Callable[[Caller, str], Awaitable[Download]]) -> Response:
    return _answer(await verb(call.caller, call.path["id"]))


def _answer(download: Download, status: int = 200) -> Response:
    return json_response(encode_download(download).model_dump(), status=status)


def _route(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Route:
    options = {"response": DownloadShape, "errors": frozenset({Kind.NOT_FOUND, Kind.UNAVAILABLE}), **more}
    return Route(
        method=method,
        path=path,
        name=name,
        summary=summary,
        tag="downloads",
        access=Scope.MODELS_WRITE,
        handler=handler,
        **options,
    )


PULL = "/bodhi/v1/models/files/pull"
ONE = PULL + "/{id}"

ROUTES = (
    _route(
        "POST", PULL, "pull_model", "Download a model", pull,
        request=NewDownloadRequest, status=201, or_status=200,
    ),
    _route("GET", PULL, "list_downloads", "List downloads", list_downloads, response=DownloadPage, query=LIST_QUERY),
    _route("GET", ONE, "get_download", "Get a download", get),
    _route("POST", ONE + "/pause", "pause_download", "Pause a download", pause),
    _route("POST", ONE + "/resume", "resume_download", "Resume a download", resume),
    _route("POST", ONE + "/cancel", "cancel_download", "Cancel a download", cancel),
    _route("POST", ONE + "/retry", "retry_download", "Retry a download", retry),
    _route("POST", ONE + "/archive", "archive_download", "Archive a download", archive),
    _route(
        "GET", ONE + "/events", "follow_download", "Follow a download", follow,
        response=None, content_type="text/event-stream",
    ),
)  # fmt: skip
