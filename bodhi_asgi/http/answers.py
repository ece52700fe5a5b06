"""The frames of a streamed answer in OpenAI's dialects: a chunk each, and ``[DONE]`` at the end."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import orjson

from bodhi_asgi.http.stream import frame
from bodhi_asgi.inference.answer import AnswerStream
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.types import JSONObject

DONE = frame(b"[DONE]")


async def answer_frames(answer: AnswerStream, encode: Callable[[Delta], list[JSONObject]]) -> AsyncGenerator[bytes]:
    """The answer's chunks as frames. Closing it ends the work in the engine."""
    async with aclosing(answer):
        async for delta in answer:
            yield b"".join(frame(orjson.dumps(chunk)) for chunk in encode(delta))
    yield DONE
