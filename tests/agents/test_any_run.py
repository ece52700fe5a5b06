"""Whatever a model asks for and a person decides, a run ends within its limits and leaves a whole conversation."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bodhi_asgi import Agent, AgentLimits, AgentOutcome, AgentResult, AgentState, Approve, Deny, tool
from tests.agents.scripted import Says, ScriptedChat, call


async def fine(n: int) -> int:
    return n


async def broken(n: int) -> int:
    raise ValueError(n)


@tool(needs_approval=lambda arguments: arguments["n"] % 2 == 1)
async def grave(n: int) -> int:
    return n


NAMES = st.sampled_from(["fine", "broken", "grave", "nothing"])
ARGUMENTS = st.one_of(st.integers(0, 3).map(lambda n: {"n": n}), st.just("{"), st.just({}))
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), max_size=4)
ANSWERS = st.lists(
    st.tuples(st.sampled_from(["", "words"]), CALLS, st.sampled_from(["", "", "", "length"])), min_size=1
)


def answers_of(drawn: Any) -> list[Says]:
    return [
        Says(text, tuple(call(name, given, f"{turn}-{index}") for index, (name, given) in enumerate(calls)), finish=end)
        for turn, (text, calls, end) in enumerate(drawn)
    ]


@settings(max_examples=60)
@given(ANSWERS, st.integers(1, 5), st.integers(1, 6), st.booleans(), st.lists(st.booleans(), min_size=1))
def test_a_run_ends_within_its_limits_and_is_whole(
    drawn: Any, turns: int, calls: int, parallel: bool, says: list[bool]
) -> None:
    limits = AgentLimits(turns=turns, tool_calls=calls)
    agent = Agent("demo", tools=[fine, broken, grave], limits=limits, parallel=parallel)
    chat = ScriptedChat(answers_of(drawn))

    async def whole() -> AgentResult:
        result = await agent.run(chat, "go")
        while result.state is not None:
            assert result.outcome == AgentOutcome.APPROVAL_NEEDED
            state = AgentState.from_json(result.state.to_json())
            assert state == result.state
            yes = says[state.spent.turns % len(says)]
            result = await agent.resume(chat, state, {one.id: Approve() if yes else Deny() for one in state.pending})
        return result

    result = asyncio.run(whole())
    assert chat.open_streams == 0
    assert result.spent.turns == len(chat.requests) <= turns
    assert result.spent.tool_calls <= calls
    waiting: list[str] = []
    for message in result.messages:
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
        else:
            assert not waiting
            waiting = [one["id"] for one in message.get("tool_calls") or ()]  # type: ignore[union-attr,index,call-overload]
    assert not waiting
