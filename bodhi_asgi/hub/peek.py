"""A look into a file on the hub without fetching it: some of its bytes, or the header that tells what model it is."""

from dataclasses import replace

from bodhi_asgi.gguf.ranges import fetch_header
from bodhi_asgi.gguf.types import GgufHeader
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubUnreachable
from bodhi_asgi.hub.fetch import describe
from bodhi_asgi.hub.pace import Pace
from bodhi_asgi.hub.patience import Patience
from bodhi_asgi.hub.receiver import CONTENT_RANGE, refuse, require_plain
from bodhi_asgi.hub.refusals import Passing
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import HubFile, RemoteFile


async def peek(transport: HubTransport, file: HubFile) -> tuple[RemoteFile, GgufHeader]:
    """What the hub says of a GGUF file, and its checked header.

    Raises what :func:`~bodhi_asgi.hub.fetch.describe` does, and GgufInvalid for a file that is no model.
    """
    remote = await describe(transport, file)
    fixed = replace(file, revision=remote.commit)
    return remote, await fetch_header(lambda begin, end: read(transport, fixed, begin, end), remote.size_bytes)


async def read(transport: HubTransport, file: HubFile, begin: int, end: int) -> bytes:
    """The bytes of a file from ``begin`` up to, and without, ``end``; fewer where the file ends before.

    Raises what :func:`~bodhi_asgi.hub.fetch.describe` does.
    """
    if begin >= end:
        return b""
    patience = Patience(transport.access)
    headers = {"Range": f"bytes={begin}-{end - 1}"}
    while True:
        try:
            async with transport.asking("GET", transport.access.url_of(file), headers) as answer:
                return await _bytes_of(answer, file, begin, end, Pace(transport.access, transport.clock))
        except Passing as passing:
            await patience.wait(passing)


async def _bytes_of(answer: Answer, file: HubFile, begin: int, end: int, pace: Pace) -> bytes:
    response = answer.response
    if response.status_code in (200, 206):
        require_plain(response.headers)
    if response.status_code == 206:
        found = CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
        if found is None or int(found[1]) != begin or int(found[3]) <= begin:
            raise HubAnswerInvalid("the hub sends another range than was asked for")
        skip, wanted = 0, min(end, int(found[3])) - begin
    elif response.status_code == 200:
        # A server without ranges: what lies before is passed over, and what lies behind is left.
        skip, wanted = begin, end - begin
    else:
        refuse(answer, file)
    have = bytearray()
    pace.wait()
    async for piece in response.aiter_raw():
        pace.came(len(piece))
        pace.wait()
        have += piece[skip:]
        skip = max(0, skip - len(piece))
        if len(have) >= wanted:
            break
    if response.status_code == 206 and len(have) < wanted:
        raise Passing(HubUnreachable("the hub ended the range before its end"))
    return bytes(have[:wanted])
