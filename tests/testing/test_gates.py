"""Answers that wait at gates: what goes on meanwhile, who leaves, who is refused, and how an engine dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, BodhiError
from bodhi_asgi.engine.errors import EngineBusy, EngineLost, EngineStopped
from bodhi_asgi.testing import Gate, Script, StillClock, running

HELLO = "hello"


@pytest.fixture
def app() -> BodhiApp:
    return BodhiApp(models={"small": "owner/repo/small.gguf"}, engine={"slots": 2, "queue_limit": 0})


@pytest.fixture
async def script(app: BodhiApp) -> AsyncIterator[Script]:
    async with running(app) as script:
        yield script


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": text}], **more}


async def test_others_go_on_while_an_answer_waits(app: BodhiApp, script: Script) -> None:
    gate = Gate("tea")
    script.says("The water ", gate, "boils.", when="tea")
    script.says("Ready at once.", when="coffee", times=2)

    tea = asyncio.create_task(app.server.chat_completion(asking("tea", stream=False)))
    await gate.reached()
    for _ in range(2):
        coffee = await app.server.chat_completion(asking("coffee"), stream=False)
        assert coffee.choices[0].message.content == "Ready at once."
    assert not tea.done()
    assert script.asked[0].outcome == "answering"
    gate.open()
    assert (await tea).choices[0].message.content == "The water boils."


async def test_prompts_that_begin_alike_do_not_wait_for_the_one_at_the_gate(app: BodhiApp, script: Script) -> None:
    gate = Gate()
    script.says(gate, "first", when="first")
    script.says("second", when="second")
    system = {"role": "system", "content": "You are a librarian. " * 40}
    alike = [
        {"model": "small", "messages": [system, {"role": "user", "content": text}]} for text in ("first", "second")
    ]
    first = asyncio.create_task(app.server.chat_completion(alike[0]))
    await gate.reached()
    assert (await app.server.chat_completion(alike[1])).choices[0].message.content == "second"
    gate.open()
    assert (await first).choices[0].message.content == "first"


async def test_who_leaves_at_a_gate_frees_his_slot(app: BodhiApp, script: Script) -> None:
    gate = Gate()
    script.says("Once upon", gate, when="story", times=None)
    stream = await app.server.chat_completion(asking("a story"), stream=True)
    async with aclosing(stream):
        words = []
        async for chunk in stream:
            words += [choice.delta.content for choice in chunk.choices if choice.delta.content]
            if "".join(words) == "Once upon":
                await gate.reached()
                break
    await script.last.over()
    assert (script.last.outcome, script.last.said) == ("cancelled", "Once upon")
    assert "".join(words) == "Once upon"

    waiting = [asyncio.create_task(app.server.chat_completion(asking("a story"))) for _ in range(2)]
    await gate.reached(3)
    gate.open()
    await asyncio.gather(*waiting)


async def test_a_full_queue_refuses_as_in_production(app: BodhiApp, script: Script) -> None:
    gate = Gate()
    script.says(gate, "done", times=2)
    taken = [asyncio.create_task(app.server.chat_completion(asking(HELLO))) for _ in range(2)]
    await gate.reached(2)
    with pytest.raises(EngineBusy):
        await app.server.chat_completion(asking(HELLO))
    assert script.last.outcome == "failed"
    gate.open()
    await asyncio.gather(*taken)


async def test_an_error_ends_an_answer_in_the_middle(app: BodhiApp, script: Script) -> None:
    script.says("So far", EngineBusy("and no further"))
    stream = await app.server.chat_completion(asking(HELLO), stream=True)
    words: list[str | None] = []
    with pytest.raises(EngineBusy, match="and no further"):
        async for chunk in stream:
            words += [choice.delta.content for choice in chunk.choices]
    assert "".join(word or "" for word in words) == "So far"


async def test_any_other_exception_is_the_death_of_the_engine_which_starts_again(
    app: BodhiApp, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    script.says("So far", RuntimeError("the machine is on fire"), when="first")
    script.says("I am back.", when="second")
    with pytest.raises(EngineLost):
        await app.server.chat_completion(asking("first"))
    assert "the machine is on fire" in caplog.text
    reply = await app.server.chat_completion(asking("second"))
    assert reply.choices[0].message.content == "I am back."


async def test_a_server_that_stops_ends_what_waits(app: BodhiApp) -> None:
    gate = Gate()
    async with running(app) as script:
        script.says("Never ", gate, "more")
        asked = asyncio.create_task(app.server.chat_completion(asking(HELLO)))
        await gate.reached()
        app.server.lifecycle._drain_s = 0.0
        await app.server.shutdown()
        with pytest.raises(EngineStopped):
            await asked


async def test_limits_of_the_request_cut_what_the_script_says(app: BodhiApp, script: Script) -> None:
    script.says("one two three four", times=3)
    cut = await app.server.chat_completion(asking(HELLO, max_tokens=2), stream=False)
    assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("one two", "length")
    stopped = await app.server.chat_completion(asking(HELLO, stop=[" three"]), stream=False)
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one two", "stop")
    longer = await app.server.chat_completion(asking(HELLO, min_tokens=6, max_tokens=6), stream=False)
    assert longer.choices[0].message.content == "one two three fourone two"


async def test_several_answers_to_one_request_are_several_of_the_script(app: BodhiApp, script: Script) -> None:
    script.says("heads")
    script.says("tails")
    reply = await app.server.chat_completion(asking(HELLO, n=2), stream=False)
    assert [choice.message.content for choice in reply.choices] == ["heads", "tails"]


def test_a_gate_that_nobody_comes_to_fails_with_its_name() -> None:
    with pytest.raises(AssertionError, match=r"no answer came to <closed Gate 'tea'> within 0\.01 s"):
        Gate("tea").wait_reached(timeout_s=0.01)


async def test_time_stands_still_where_the_test_says_so(app: BodhiApp) -> None:
    clock = StillClock()
    async with running(app, clock=clock) as script:
        script.says("It is still 2026.")
        reply = await app.server.chat_completion(asking(HELLO), stream=False)
        assert reply.created == int(clock.now().timestamp())
        created = await app.server.create_api_token("short", expires_in_days=1)
        verbs = app.server.for_request(Connection(created.token.reveal()))
        await verbs.list_models()
        clock.advance(86_401)
        with pytest.raises(BodhiError, match="expired"):
            await verbs.list_models()


class Connection:
    """What a request of a host is to the verbs."""

    def __init__(self, token: str) -> None:
        self.scope = {"type": "http", "headers": [(b"authorization", f"Bearer {token}".encode())]}
