"""What nobody has foreseen ends the request that brought it, and no other."""

from collections.abc import Sequence
from queue import Queue

import pytest

from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.runners.echo import EchoRunner, EchoVocabulary
from bodhi_asgi.engine.types import Chunk
from bodhi_asgi.errors import Broken
from bodhi_asgi.messages.conversation import ChatPrompt, Prompt
from bodhi_asgi.messages.generation import GenerateRequest
from tests.engine.support import ECHO, work


class Vocabulary(EchoVocabulary):
    def encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, ChatPrompt) and prompt.messages[-1].content == "unreadable":
            raise AttributeError("nobody thought of this")
        return super().encode(prompt)


class Runner(EchoRunner):
    """An echo with faults."""

    def __init__(self) -> None:
        super().__init__(ECHO)
        self.vocabulary = Vocabulary()

    def begin(self, sampler: int, request: GenerateRequest, prompt: Sequence[int] = (), matcher: object = None) -> None:
        if isinstance(request.prompt, ChatPrompt) and request.prompt.messages[-1].content == "unspeakable":
            raise KeyError("nor of this")
        super().begin(sampler, request, prompt, matcher)


@pytest.mark.parametrize("text", ["unreadable", "unspeakable"])
def test_a_request_that_cannot_begin_by_a_fault_of_ours_ends_nobody_elses(text: str) -> None:
    told: Queue[list[Chunk]] = Queue()
    loop = EngineLoop(Runner(), ECHO, told.put)
    loop.start()
    before, odd, after = work("a b c"), work(text), work("d e f")
    for one in (before, odd, after):
        loop.submit(one)
    ends: dict[str, Chunk] = {}
    while len(ends) < 3:
        ends |= {chunk.work_id: chunk for chunk in told.get(timeout=30) if chunk.is_final}
    assert [ends[one.id].error for one in (before, after)] == [None, None]
    error = ends[odd.id].error
    assert isinstance(error, Broken)
    assert "nobody" not in error.message
    assert loop.stats().slots_used == 0
    loop.stop()
