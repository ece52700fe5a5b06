"""Headers are read over HTTP ranges, from a server that answers as it should and from others."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.ranges import FIRST_BYTES, Fetch, fetch_header
from bodhi_asgi.gguf.reader import MAX_HEADER_BYTES, parse_header
from bodhi_asgi.gguf.types import GgufInvalid
from tests.gguf.files import ARRAY, TEXT, Pair, Placed, header_bytes
from tests.servers import serving

WORDS = {
    "general.architecture": Pair(TEXT, "llama"),
    "tokenizer.ggml.tokens": Pair(ARRAY, ["a word of the vocabulary"] * 100_000, TEXT),
    "tokenizer.ggml.scores": Pair(ARRAY, [0.0] * 100_000, 6),
}
LARGE = header_bytes(WORDS, [Placed("t", (256, 4), 0, 0)]) + bytes(4096)


class Shelf:
    """A server with one file, and the ranges that were asked of it."""

    def __init__(self, data: bytes, cut: Callable[[bytes], bytes] = lambda piece: piece) -> None:
        self.asked: list[tuple[int, int]] = []
        self._data = data
        self._cut = cut

    async def answer(self, request: Request) -> Response:
        begin, last = map(int, re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["range"]).groups())  # type: ignore[union-attr]
        self.asked.append((begin, last + 1))
        headers = {"Content-Range": f"bytes {begin}-{last}/{len(self._data)}"}
        return Response(self._cut(self._data[begin : last + 1]), 206, headers)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fetch]:
        app = Starlette(routes=[Route("/model.gguf", self.answer)])
        async with serving(app) as url, httpx2.AsyncClient() as client:

            async def fetch(begin: int, end: int) -> bytes:
                answer = await client.get(f"{url}/model.gguf", headers={"Range": f"bytes={begin}-{end - 1}"})
                answer.raise_for_status()
                return answer.content

            yield fetch


async def test_a_small_header_takes_one_range() -> None:
    data = DEMO_MODEL_PATH.read_bytes()
    shelf = Shelf(data)
    async with shelf.open() as fetch:
        assert await fetch_header(fetch, len(data)) == parse_header(data)
    assert shelf.asked == [(0, min(FIRST_BYTES, len(data)))]


async def test_a_large_header_takes_ranges_that_double_and_no_byte_twice() -> None:
    shelf = Shelf(LARGE)
    async with shelf.open() as fetch:
        assert await fetch_header(fetch, len(LARGE)) == parse_header(LARGE)
    assert shelf.asked[0] == (0, FIRST_BYTES)
    for (_, end), (begin, other) in zip(shelf.asked, shelf.asked[1:], strict=False):
        assert begin == end
        assert other >= min(2 * end, len(LARGE))
    assert len(shelf.asked) < 6


@pytest.mark.parametrize(
    ("cut", "came"), [(lambda piece: piece[:-1], FIRST_BYTES - 1), (lambda piece: piece + b"x", FIRST_BYTES + 1)]
)
async def test_an_answer_of_another_length_is_no_header(cut: Callable[[bytes], bytes], came: int) -> None:
    shelf = Shelf(LARGE, cut)
    async with shelf.open() as fetch:
        with pytest.raises(GgufInvalid, match=f"of the {FIRST_BYTES} bytes asked for, {came} came"):
            await fetch_header(fetch, len(LARGE))
    assert len(shelf.asked) == 1


async def test_a_page_in_place_of_a_model_is_told_from_one() -> None:
    page = b"<!doctype html>" + b" " * 1000
    async with Shelf(page).open() as fetch:
        with pytest.raises(GgufInvalid, match="mark of the GGUF format"):
            await fetch_header(fetch, len(page))
        with pytest.raises(GgufInvalid, match="the file is empty"):
            await fetch_header(fetch, 0)


async def test_weights_outside_the_file_are_found_before_they_are_fetched() -> None:
    async with Shelf(LARGE).open() as fetch:
        with pytest.raises(GgufInvalid, match="lies outside the file"):
            await fetch_header(fetch, len(LARGE) - 4096)


async def test_a_header_without_end_is_given_up_at_its_limit() -> None:
    asked: list[int] = []
    pairs = b"".join(
        header_bytes({f"k{number:07}": Pair(ARRAY, [0] * 131_072, 12)})[24 : 24 + 8 + 8 + 16 + 8 * 131_072]
        for number in range(4)
    )
    head = header_bytes({})[:16] + (65_535).to_bytes(8, "little")

    async def fetch(begin: int, end: int) -> bytes:
        # Keys that differ, with arrays that are walked over, again and again.
        asked.append(end - begin)
        made = bytearray()
        while len(made) < end:
            number = len(made) // len(pairs)
            made += (head if not made else b"") + pairs.replace(b"k0", f"{number:02}".encode())
        return bytes(made[begin:end])

    with pytest.raises(GgufInvalid, match=f"more than {MAX_HEADER_BYTES} bytes"):
        await fetch_header(fetch, 2**40)
    assert sum(asked) <= MAX_HEADER_BYTES


async def test_whoever_waits_for_a_range_can_be_stopped() -> None:
    asked = asyncio.Event()

    async def fetch(begin: int, end: int) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    task = asyncio.create_task(fetch_header(fetch, 1000))
    async with asyncio.timeout(30):
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_what_a_source_raises_comes_through() -> None:
    async def fetch(begin: int, end: int) -> bytes:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        await fetch_header(fetch, 1000)
