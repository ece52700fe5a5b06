"""The synchronous verbs do what the asynchronous ones do, all of them, from any thread that runs no event loop."""

import asyncio
import inspect
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from bodhi_asgi import (
    Agent,
    Bodhi,
    BodhiApp,
    Caller,
    Forbidden,
    Grants,
    InsideEventLoop,
    NotFound,
    NotStarted,
    ShuttingDown,
    SyncBodhi,
    SyncBodhiServer,
    SyncStream,
    TextAdded,
)
from bodhi_asgi.aliases import Aliases
from bodhi_asgi.pulls import Downloads, ModelPull
from bodhi_asgi.sync.aliases import SyncAliases
from bodhi_asgi.sync.background import THREAD
from bodhi_asgi.sync.pulls import SyncDownloads
from bodhi_asgi.sync.stream import SyncModelPull
from tests.sync.conftest import ENDLESS, HELLO, await_running

TWINS = [(Bodhi, SyncBodhi), (Aliases, SyncAliases), (Downloads, SyncDownloads), (ModelPull, SyncModelPull)]
INTERNAL = {"following", "next_of", "aclose"}


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if not name.startswith("_")}


@pytest.mark.parametrize(("kind", "twin"), TWINS, ids=lambda kind: kind.__name__)
def test_every_asynchronous_verb_has_its_synchronous_twin(kind: type, twin: type) -> None:
    for name, verb in public(kind).items():
        if name in INTERNAL or (kind is Downloads and name == "close"):
            continue
        found = getattr(twin, name)
        assert not inspect.iscoroutinefunction(found)
        if callable(verb):
            ours, theirs = inspect.signature(found).parameters, inspect.signature(verb).parameters
            assert [str(one) for one in ours.values()] == [str(one) for one in theirs.values()]
            assert found.__doc__


def test_a_script_asks_and_reads_a_stream(bodhi: SyncBodhiServer) -> None:
    assert bodhi.status == "ready"
    assert bodhi.health().status == "ok"
    assert bodhi.chat_completion(HELLO, stream=False).text == "hello there friend"
    with bodhi.chat_completion(HELLO, stream=True) as chunks:
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "hello there friend"
    assert isinstance(bodhi.chat_completion({**HELLO, "stream": True}), SyncStream)
    words = bodhi.completion({"model": "parrot", "prompt": "say this"}, stream=True)
    assert "".join(choice.text for chunk in words for choice in chunk.choices) == "say this"
    assert [model.id for model in bodhi.list_models().data] == ["parrot", "secret"]


def test_verbs_of_aliases_and_downloads_are_there_too(bodhi: SyncBodhiServer) -> None:
    assert {entry.alias for entry in bodhi.aliases.list().data if entry.alias} >= {"parrot"}
    assert bodhi.downloads.list().total == 0
    with pytest.raises(NotFound, match="01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        bodhi.downloads.get("01ARZ3NDEKTSV4RRFFQ69G5FAV")


def test_the_same_verbs_act_for_another_caller(bodhi: SyncBodhiServer) -> None:
    ada = bodhi.as_caller(Caller.user("ada", grants=Grants(models=frozenset({"parrot"}))))
    assert ada.caller().id == "host:ada"
    assert [model.id for model in ada.list_models().data] == ["parrot"]
    with pytest.raises(Forbidden):
        ada.chat_completion({**HELLO, "model": "secret"})


def test_a_stream_that_is_closed_stops_the_model(app: BodhiApp, bodhi: SyncBodhiServer) -> None:
    chunks = bodhi.chat_completion(ENDLESS, stream=True)
    next(chunks)
    next(chunks)
    chunks.close()
    chunks.close()
    with pytest.raises(StopIteration):
        next(chunks)
    await_running(app, bodhi, 0)


def test_a_stream_that_is_left_stops_the_model(app: BodhiApp, bodhi: SyncBodhiServer) -> None:
    for chunk in bodhi.chat_completion(ENDLESS, stream=True):
        if any(choice.delta.content for choice in chunk.choices):
            break
    await_running(app, bodhi, 0)


def test_a_stream_may_be_closed_while_another_thread_reads_it(app: BodhiApp, bodhi: SyncBodhiServer) -> None:
    chunks = bodhi.chat_completion(ENDLESS, stream=True)
    next(chunks)
    reading = threading.Event()

    def read() -> int:
        count = 0
        for _ in chunks:
            count += 1
            reading.set()
        return count

    with ThreadPoolExecutor(1) as pool:
        counted = pool.submit(read)
        assert reading.wait(30)
        chunks.close()
        assert counted.result(30) >= 1
    await_running(app, bodhi, 0)


def test_many_threads_share_one_server_and_one_loop(bodhi: SyncBodhiServer) -> None:
    def ask(number: int) -> str:
        request = {**HELLO, "messages": [{"role": "user", "content": f"number {number}"}]}
        return bodhi.chat_completion(request, stream=False).text

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(24))) == [f"number {number}" for number in range(24)]
    assert [thread.name for thread in threading.enumerate()].count(THREAD) == 1


def test_the_last_block_that_ends_stops_the_server(app: BodhiApp) -> None:
    verbs = app.sync()
    assert verbs is app.sync() is app.server.sync()
    with verbs:
        with app.sync():
            pass
        assert verbs.status == "ready"
        assert verbs.chat_completion(HELLO, stream=False).text == "hello there friend"
    assert verbs.status == "stopped"


def test_without_a_block_the_first_verb_starts_it(app: BodhiApp) -> None:
    verbs = app.sync()
    assert verbs.status == "new"
    assert verbs.chat_completion(HELLO, stream=False).text == "hello there friend"
    assert verbs.status == "ready"
    verbs.shutdown()
    verbs.shutdown()
    assert verbs.status == "stopped"
    assert verbs.start() is verbs
    assert verbs.status == "ready"
    verbs.shutdown()


def test_a_stream_of_a_server_that_was_closed_has_ended(app: BodhiApp) -> None:
    with app.sync() as verbs:
        chunks = verbs.chat_completion(ENDLESS, stream=True)
        next(chunks)
        verbs.shutdown()
        with pytest.raises((NotStarted, ShuttingDown)):
            for _ in chunks:
                pass


def test_agents_and_all_else_that_is_asynchronous_can_be_waited_for(bodhi: SyncBodhiServer) -> None:
    agent = Agent("parrot")
    assert bodhi.run(lambda verbs: agent.run(verbs, "hello there")).text == "hello there"
    with bodhi.iterate(lambda verbs: agent.run(verbs, "hello there")) as events:
        assert "".join(event.text for event in events if isinstance(event, TextAdded)) == "hello there"


async def test_inside_an_event_loop_it_says_what_to_await(app: BodhiApp) -> None:
    verbs = app.sync()
    with pytest.raises(InsideEventLoop, match=r"await Bodhi\.chat_completion\(\)") as raised:
        verbs.chat_completion(HELLO)
    assert isinstance(raised.value, RuntimeError)
    assert app.status == "new"
    chunks = await asyncio.to_thread(verbs.chat_completion, HELLO, stream=True)
    with pytest.raises(InsideEventLoop, match="'async for' with a ChatCompletionStream"):
        next(chunks)
    chunks.close()  # is done, without waiting for it
    await asyncio.to_thread(verbs.shutdown)


async def test_a_server_on_the_loop_of_its_host_is_used_there_and_left_running(app: BodhiApp) -> None:
    def work() -> str:
        with app.sync() as verbs:
            return verbs.chat_completion(HELLO, stream=False).text

    async with app as verbs:
        assert await asyncio.to_thread(work) == "hello there friend"
        assert app.server.lifecycle.loop is asyncio.get_running_loop()
        assert app.status == "ready"
        assert (await verbs.chat_completion(HELLO, stream=False)).text == "hello there friend"
    assert app.status == "stopped"


def test_an_error_of_a_verb_is_raised_as_it_is(bodhi: SyncBodhiServer) -> None:
    with pytest.raises(NotFound, match="nobody"):
        bodhi.chat_completion({**HELLO, "model": "nobody"})
