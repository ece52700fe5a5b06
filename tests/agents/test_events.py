"""The events in the form a browser gets."""

import asyncio
import json
from typing import Any

import pytest

from bodhi_asgi import Agent, AgentRun, AgentState, Invalid, tool
from tests.agents.scripted import Says, ScriptedChat, call


async def refund(order: int) -> str:
    return "refunded"


async def test_each_event_is_one_line_of_json_with_its_kind_first() -> None:
    chat = ScriptedChat([Says("a", (call("refund", {"order": 1}), call("nothing")), "hm"), Says("b\n")])
    lines = [event.json() async for event in Agent("demo", tools=[refund]).run(chat, "go")]

    assert all(line.startswith('{"kind":"') and "\n" not in line for line in lines)
    assert [json.loads(line) for line in lines] == [
        {"kind": "reasoning", "text": "hm"},
        {"kind": "text", "text": "a"},
        {
            "kind": "tool_failed",
            "call_id": "call_nothing",
            "name": "nothing",
            "code": "unknown_tool",
            "message": "there is no tool 'nothing'; there are: refund",
        },
        {"kind": "tool_called", "call_id": "call_refund", "name": "refund", "arguments": {"order": 1}},
        {"kind": "tool_returned", "call_id": "call_refund", "name": "refund", "content": "refunded"},
        {"kind": "text", "text": "b"},
        {"kind": "text", "text": "\n"},
        {
            "kind": "finished",
            "outcome": "finished",
            "text": "b\n",
            "state_id": None,
            "pending": [],
            "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
        },
    ]


async def test_the_end_shows_what_waits_and_keeps_the_state() -> None:
    chat = ScriptedChat([Says("", (call("refund", {"order": 1}), call("refund", "{", "half")))])
    events = [event async for event in Agent("demo", tools=[tool(needs_approval=True)(refund)]).run(chat, "go")]
    shown = json.loads(events[-1].json())
    assert shown["pending"] == [{"call_id": "call_refund", "name": "refund", "arguments": {"order": 1}}]
    assert shown["state_id"] == events[-1].result.state.id
    assert shown.keys() == {"kind", "outcome", "text", "state_id", "pending", "usage"}


async def frames_of(run: AgentRun, **options: Any) -> list[str]:
    return [frame async for frame in run.event_stream(**options)]


async def test_a_run_is_a_stream_of_frames_that_ends_with_its_end() -> None:
    frames = await frames_of(Agent("demo").run(ScriptedChat([Says("ab")]), "go"))
    assert frames[:2] == ['data: {"kind":"text","text":"a"}\n\n', 'data: {"kind":"text","text":"b"}\n\n']
    assert json.loads(frames[-1].removeprefix("data: "))["outcome"] == "finished"


async def test_the_state_is_kept_before_the_reader_learns_of_the_pause() -> None:
    kept: list[AgentState] = []

    async def keep(state: AgentState) -> None:
        kept.append(state)

    chat = ScriptedChat([Says("", (call("refund", {"order": 1}),))])
    async for frame in Agent("demo", tools=[tool(needs_approval=True)(refund)]).run(chat, "go").event_stream(keep=keep):
        assert ('"kind":"finished"' in frame) == bool(kept)
    assert json.loads(frame.removeprefix("data: "))["state_id"] == kept[0].id


@pytest.mark.parametrize(
    ("raised", "code"), [(Invalid("too long", param="messages"), "invalid_request"), (OSError("x"), "internal_error")]
)
async def test_an_error_is_the_last_frame_and_keeps_its_internals(raised: Exception, code: str) -> None:
    (frame,) = await frames_of(Agent("demo").run(ScriptedChat([Says(raises=raised)]), "go"))
    body = json.loads(frame.removeprefix("data: "))
    assert (body["kind"], body["code"]) == ("error", code)
    assert "x" not in body["message"].split()


async def test_silence_is_broken_by_comments_and_leaving_stops_the_model() -> None:
    chat = ScriptedChat([Says("a", hangs=True)])
    frames = Agent("demo").run(chat, "go").event_stream(ping_s=0.01)
    async with asyncio.timeout(20):
        assert [await anext(frames) for _ in range(3)] == [
            'data: {"kind":"text","text":"a"}\n\n',
            ": ping\n\n",
            ": ping\n\n",
        ]
        assert chat.open_streams == 1
        await frames.aclose()
    assert chat.open_streams == 0
