"""Texts that are read in batches are tokenised beside the engine's loop when they are many or long."""

import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from bodhi_asgi.engine.errors import ContextLengthExceeded, EngineStopped, WorkCancelled
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.runner import Vocabulary, make_runner
from bodhi_asgi.engine.stack import Stack
from bodhi_asgi.engine.types import Chunk, PooledWork
from bodhi_asgi.messages.conversation import TextPrompt, TokenPrompt
from bodhi_asgi.messages.reading import EmbedRequest, RerankRequest
from tests.engine.support import ECHO, work

MANY = 300


def embed(name: str, *texts: str) -> PooledWork:
    return PooledWork(name, EmbedRequest("m", tuple(map(TextPrompt, texts))))


class Reader:
    """An engine loop in which nothing is tokenised beside it until it may be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, entered = self.gate, self.entered = threading.Event(), threading.Event()
        threads = self.threads = dict[str, set[str]]()
        read = Stack.read

        def slowly(stack: Stack, vocabulary: Vocabulary, longest: int) -> None:
            threads.setdefault(stack.work.id, set()).add(threading.current_thread().name)
            if stack.is_long:
                entered.set()
                assert gate.wait(60)
            read(stack, vocabulary, longest)

        monkeypatch.setattr(Stack, "read", slowly)
        self.delivered: Queue[Chunk] = Queue()
        self.loop = EngineLoop(make_runner(ECHO), ECHO, lambda chunks: [*map(self.delivered.put, chunks)] and None)
        self.loop.start()
        self.loop.ready.result(60)

    def last(self) -> Chunk:
        """The last word of the next request that ends."""
        while not (chunk := self.delivered.get(timeout=60)).is_final:
            pass
        return chunk


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    made = Reader(monkeypatch)
    yield made
    made.gate.set()
    made.loop.stop()


def test_others_speak_and_are_read_while_many_texts_are_tokenised(reader: Reader) -> None:
    reader.loop.submit(embed("many", *["one two"] * MANY))
    assert reader.entered.wait(60)
    spoken, few = work("Hello"), embed("few", "one", "two")
    reader.loop.submit(spoken)
    assert reader.last().work_id == spoken.id
    reader.loop.submit(few)
    assert reader.last().work_id == "few"
    reader.gate.set()
    last = reader.last()
    assert (last.work_id, last.error) == ("many", None)
    assert last.usage is not None
    assert last.usage.prompt_tokens == 4 * MANY
    assert [name.startswith("bodhi-stacks") for name in reader.threads["many"]] == [True]
    assert [name.startswith("bodhi-engine") for name in reader.threads["few"]] == [True]


def test_who_leaves_while_his_texts_are_tokenised_holds_up_nobody_behind_him(reader: Reader) -> None:
    reader.loop.submit(embed("gone", *["one two"] * MANY))
    assert reader.entered.wait(60)
    reader.loop.submit(embed("next", *["three"] * MANY))
    reader.loop.cancel("gone")
    last = reader.last()
    assert (last.work_id, type(last.error)) == ("gone", WorkCancelled)
    reader.gate.set()
    last = reader.last()
    assert (last.work_id, last.error) == ("next", None)


def test_what_does_not_fit_is_refused_by_its_place_also_from_there(reader: Reader) -> None:
    reader.gate.set()
    reader.loop.submit(embed("wide", *["one"] * MANY, "x " * 2000))
    last = reader.last()
    assert isinstance(last.error, ContextLengthExceeded)
    assert last.error.param == f"input.{MANY}"


def test_an_engine_that_stops_ends_what_is_being_tokenised(reader: Reader) -> None:
    reader.loop.submit(embed("many", *["one two"] * MANY))
    assert reader.entered.wait(60)
    stopping = threading.Thread(target=reader.loop.stop)
    stopping.start()
    reader.gate.set()
    last = reader.last()
    stopping.join(60)
    assert last.error is None or isinstance(last.error, EngineStopped)


def test_what_is_long_counts_texts_tokens_and_the_query_with_each_document() -> None:
    for request, is_long in (
        (EmbedRequest("m", (TextPrompt("x" * 8000),)), False),
        (EmbedRequest("m", (TextPrompt("x" * 9000),)), True),
        (EmbedRequest("m", (TextPrompt("x"),) * MANY), True),
        (EmbedRequest("m", (TokenPrompt((1,) * 3000),)), True),
        (RerankRequest("m", "q", ("d",) * 9), False),
        (RerankRequest("m", "q" * 1000, ("d",) * 9), True),
    ):
        assert Stack(PooledWork("w", request)).is_long == is_long
