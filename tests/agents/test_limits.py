"""No run is endless: each limit ends it with its own outcome, and leaves a conversation that is whole."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from bodhi_asgi import (
    Agent,
    AgentLimits,
    AgentOutcome,
    AgentResult,
    ConfigurationInvalid,
    ToolFailed,
    ToolReturned,
    tool,
)
from bodhi_asgi.agents import call as call_module
from bodhi_asgi.clock import StillClock
from tests.agents.scripted import Says, ScriptedChat, call


async def again() -> str:
    return "again"


def endless(**says: Any) -> ScriptedChat:
    """A model that never has enough."""
    return ScriptedChat([Says("", (call("again"),), **says)])


def is_whole(result: AgentResult) -> bool:
    """Whether every call in the conversation has its result."""
    asked = [one["id"] for message in result.messages for one in message.get("tool_calls") or ()]  # type: ignore[union-attr,index,call-overload]
    answered = [message["tool_call_id"] for message in result.messages if message["role"] == "tool"]
    return asked == answered


async def test_turns_run_out() -> None:
    chat = endless()
    result = await Agent("demo", tools=[again], limits=AgentLimits(turns=3)).run(chat, "go")
    assert (result.outcome, result.spent.turns, len(chat.requests)) == (AgentOutcome.TURN_LIMIT, 3, 3)
    assert is_whole(result)


async def test_tool_calls_run_out_and_those_beyond_are_not_made() -> None:
    made: list[int] = []

    async def count(number: int) -> int:
        made.append(number)
        return number

    chat = ScriptedChat([Says("", tuple(call("count", {"number": n}, f"{n}") for n in range(3)))])
    run = Agent("demo", tools=[count], limits=AgentLimits(tool_calls=2)).run(chat, "go")
    failed = [event async for event in run if isinstance(event, ToolFailed)]

    assert made == [0, 1]
    assert [(event.call_id, event.code) for event in failed] == [("2", "limit")]
    assert (run.result.outcome, run.result.spent.tool_calls) == (AgentOutcome.TOOL_CALL_LIMIT, 2)
    assert is_whole(run.result)


async def test_a_model_that_uses_exactly_its_calls_may_still_answer() -> None:
    chat = ScriptedChat([Says("", (call("again"),)), Says("done")])
    result = await Agent("demo", tools=[again], limits=AgentLimits(tool_calls=1)).run(chat, "go")
    assert (result.outcome, result.text) == (AgentOutcome.FINISHED, "done")


async def test_tokens_run_out_and_the_last_turn_is_kept_short() -> None:
    chat = endless(tokens=(60, 10))
    agent = Agent("demo", tools=[again], limits=AgentLimits(tokens=150), max_tokens=100)
    result = await agent.run(chat, "go")
    assert (result.outcome, result.spent.tokens) == (AgentOutcome.TOKEN_LIMIT, 210)
    assert [request["max_tokens"] for request in chat.requests] == [100, 80, 10]
    assert is_whole(result)


async def test_time_runs_out_between_turns() -> None:
    clock = StillClock()
    chat = endless()
    chat.on_chunk = lambda: clock.advance(0.5)
    result = await Agent("demo", tools=[again], limits=AgentLimits(time_s=15), clock=clock).run(chat, "go")
    assert result.outcome == AgentOutcome.TIME_LIMIT
    assert result.spent.time_s >= 15
    assert is_whole(result)


async def test_time_runs_out_in_the_middle_of_an_answer_and_the_model_is_stopped() -> None:
    chat = ScriptedChat([Says("half an ans", hangs=True)])
    async with asyncio.timeout(20):
        result = await Agent("demo", limits=AgentLimits(time_s=0.05)).run(chat, "go")
    assert (result.outcome, result.text) == (AgentOutcome.TIME_LIMIT, "half an ans")
    assert result.messages[-1] == {"role": "assistant", "content": "half an ans"}
    assert chat.open_streams == 0


async def test_time_runs_out_in_the_middle_of_a_tool() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("stopped")

    chat = ScriptedChat([Says("", (call("wait", call_id="1"), call("wait", call_id="2")))])
    run = Agent("demo", tools=[wait], limits=AgentLimits(time_s=0.05)).run(chat, "go")
    async with asyncio.timeout(20):
        failed = [event async for event in run if isinstance(event, ToolFailed)]
    assert [event.code for event in failed] == ["timeout", "limit"]
    assert ended == ["stopped"]
    assert run.result.outcome == AgentOutcome.TIME_LIMIT
    assert is_whole(run.result)


async def test_a_timeout_that_is_the_verbs_own_is_not_ours() -> None:
    with pytest.raises(TimeoutError):
        await Agent("demo").run(ScriptedChat([Says(raises=TimeoutError())]), "go")


@pytest.mark.parametrize("calls", [(), (call("again", '{"half'),)])
async def test_half_an_answer_ends_the_run_and_calls_nothing(calls: Any) -> None:
    result = await Agent("demo", tools=[again]).run(ScriptedChat([Says("I thi", calls, finish="length")]), "go")
    assert (result.outcome, result.text) == (AgentOutcome.LENGTH, "I thi")
    assert result.messages[-1] == {"role": "assistant", "content": "I thi"}


async def test_one_call_has_its_own_time() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    chat = ScriptedChat([Says("", (call("wait"),)), Says("done")])
    run = Agent("demo", tools=[tool(timeout_s=0.01)(wait)]).run(chat, "go")
    async with asyncio.timeout(20):
        (failed,) = [event async for event in run if isinstance(event, ToolFailed)]
    assert (failed.code, failed.message) == ("timeout", "the tool did not end within 0.01 seconds")
    assert run.result.outcome == AgentOutcome.FINISHED


async def test_a_tool_that_refuses_to_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "GRACE_S", 0.01)
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise ValueError("nobody hears this")

    chat = ScriptedChat([Says("", (call("stubborn"),)), Says("done")])
    async with asyncio.timeout(20):
        result = await Agent("demo", tools=[stubborn], limits=AgentLimits(tool_timeout_s=0.01)).run(chat, "go")
    assert result.outcome == AgentOutcome.FINISHED
    release.set()
    await asyncio.sleep(0)


async def test_plain_tools_that_hang_take_no_more_threads_than_they_may() -> None:
    import threading

    release = threading.Event()

    def hang() -> None:
        release.wait(30)

    chat = ScriptedChat([Says("", tuple(call("hang", call_id=f"{n}") for n in range(4))), Says("done")])
    agent = Agent("demo", tools=[hang], threads=3, limits=AgentLimits(tool_timeout_s=0.05))
    codes = [event.code async for event in agent.run(chat, "go") if isinstance(event, ToolFailed)]
    assert codes == ["timeout"] * 3 + ["busy"]
    release.set()
    for thread in threading.enumerate():
        if thread.name == "bodhi-tool-hang":
            await asyncio.to_thread(thread.join, 30)
    agent._recipe = replace(agent._recipe, limits=AgentLimits())  # a busy machine may take its time to begin a thread
    returned = [event async for event in agent.run(ScriptedChat([chat.answers[0], Says("done")]), "go")]
    assert sum(isinstance(event, ToolReturned) for event in returned) == 4


async def test_a_result_that_is_too_long_is_not_told() -> None:
    async def read() -> str:
        return "ä" * 60

    chat = ScriptedChat([Says("", (call("read"),)), Says("done")])
    run = Agent("demo", tools=[read], limits=AgentLimits(tool_result_bytes=100)).run(chat, "go")
    (failed,) = [event async for event in run if isinstance(event, ToolFailed)]
    assert (failed.code, failed.message) == (
        "result_too_long",
        "the result has 120 bytes, and at most 100 can be read",
    )


@pytest.mark.parametrize(
    "limits",
    [{"turns": 0}, {"tokens": -1}, {"time_s": float("inf")}, {"time_s": float("nan")}, {"turns": 1.5}, {"turns": True}],
)
def test_every_limit_is_positive_and_finite(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationInvalid) as refused:
        AgentLimits(**limits)
    assert refused.value.param in limits
