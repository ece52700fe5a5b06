"""What a model says is taken apart where it holds up nobody."""

import threading
from collections.abc import AsyncIterator

from bodhi_asgi.clock import SystemClock
from bodhi_asgi.engine.families.table import ROWS
from bodhi_asgi.inference.answer import LONG_CHARS, AnswerStream
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.answers import Delta, FinishReason, Usage
from bodhi_asgi.metrics.meters import Meters

PYTHONIC = next(row.family for row in ROWS if row.family.name == "llama-pythonic")
SCHEMAS = {"add": {"type": "object", "properties": {"a": {"type": "array"}}}}


async def test_the_end_of_a_long_call_is_read_beside_the_loop() -> None:
    threads: list[str] = []

    class Reader(SpeechReader):
        """A reader that tells where it reads."""

        def read(self, delta: Delta) -> Delta:
            threads.append(threading.current_thread().name)
            return super().read(delta)

    async def deltas() -> AsyncIterator[Delta]:
        yield Delta(text="[add(a=[" + "'b', " * LONG_CHARS)
        yield Delta(text="'c'])]", finish=FinishReason.STOP, usage=Usage(1, 2))

    def new_reader() -> SpeechReader:
        return Reader(PYTHONIC, SCHEMAS)

    answer = AnswerStream(deltas(), Meters(), SystemClock(), "m", 0.0, new_reader)
    calls = [call async for delta in answer for call in delta.tool_calls]

    assert "".join(call.arguments for call in calls) == '{"a": [' + '"b", ' * LONG_CHARS + '"c"]}'
    assert threads[0] == threading.current_thread().name != threads[1]
