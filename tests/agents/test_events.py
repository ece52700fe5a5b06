"""The events in the form a browser gets."""

import json

from bodhi_asgi import Agent, tool
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
            "pending": [],
            "usage": {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30},
        },
    ]


async def test_the_end_shows_what_waits_and_keeps_the_state() -> None:
    chat = ScriptedChat([Says("", (call("refund", {"order": 1}), call("refund", "{", "half")))])
    events = [event async for event in Agent("demo", tools=[tool(needs_approval=True)(refund)]).run(chat, "go")]
    shown = json.loads(events[-1].json())
    assert shown["pending"] == [{"call_id": "call_refund", "name": "refund", "arguments": {"order": 1}}]
    assert shown.keys() == {"kind", "outcome", "text", "pending", "usage"}
