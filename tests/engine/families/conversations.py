"""A conversation with tools, and how to read a model's answer to it in one piece or in many."""

import json
from typing import Any

from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.answers import Delta, FinishReason
from bodhi_asgi.messages.conversation import Message, Role, ToolCall, ToolSpec

SCHEMAS: dict[str, dict[str, Any]] = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Which city"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
    "add": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "number"}}},
    "note": {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "more": {"type": "object"},
            "done": {"type": ["boolean", "null"]},
        },
    },
}
DESCRIPTIONS = {"get_weather": "Tell the weather", "add": "Add two numbers", "note": "Keep a note"}
TOOLS = tuple(ToolSpec(name, DESCRIPTIONS[name], json.dumps(schema)) for name, schema in SCHEMAS.items())

WEATHER = ToolCall("call_weather1", "get_weather", '{"city": "Paris", "days": 3}')
ADD = ToolCall("call_add2", "add", '{"a": 1, "b": 2}')

SYSTEM = Message(Role.SYSTEM, "SYSTEM SAYS")
ASKED = Message(Role.USER, "USER ASKS")
BOTH = Message(Role.ASSISTANT, "", tool_calls=(WEATHER, ADD))
ONE = Message(Role.ASSISTANT, "", tool_calls=(WEATHER,))
TALKATIVE = Message(Role.ASSISTANT, "I LOOK", tool_calls=(WEATHER,), reasoning="I THINK")
RAINY = Message(Role.TOOL, "IT RAINS", tool_call_id=WEATHER.id)
THREE = Message(Role.TOOL, "IT IS THREE", tool_call_id=ADD.id)


class Heard:
    """What was made of an answer."""

    def __init__(self, deltas: list[Delta]) -> None:
        self.text = "".join(delta.text for delta in deltas)
        self.reasoning = "".join(delta.reasoning for delta in deltas)
        self.finish = deltas[-1].finish
        self.ids: list[str] = []
        self._calls: list[list[str]] = []
        for piece in (piece for delta in deltas for piece in delta.tool_calls):
            if piece.name is not None:
                assert piece.id
                assert piece.index == len(self._calls)
                self.ids.append(piece.id)
                self._calls.append([piece.name, ""])
            self._calls[piece.index][1] += piece.arguments

    @property
    def raw(self) -> list[tuple[str, str]]:
        return [(name, arguments) for name, arguments in self._calls]

    @property
    def calls(self) -> list[tuple[str, Any]]:
        return [(name, json.loads(arguments)) for name, arguments in self._calls]

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Heard)
        return (self.text, self.reasoning, self.raw, self.finish) == (
            other.text,
            other.reasoning,
            other.raw,
            other.finish,
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Heard({self.text!r}, {self.reasoning!r}, {self.raw!r}, {self.finish!r})"


def hear(
    family: Family,
    *pieces: str,
    schemas: dict[str, dict[str, Any]] | None = None,
    opening: str = "",
    finish: FinishReason = FinishReason.STOP,
) -> Heard:
    """What a reader makes of an answer that comes in these pieces."""
    reader = SpeechReader(family, SCHEMAS if schemas is None else schemas)
    deltas = [reader.read(Delta(opening=opening))]
    deltas += [reader.read(Delta(piece)) for piece in pieces]
    return Heard([*deltas, reader.read(Delta(finish=finish))])


def assert_same_wherever_split(family: Family, text: str, **options: Any) -> Heard:
    """The same is heard whole, character by character, and split in two anywhere."""
    whole = hear(family, text, **options)
    assert hear(family, *text, **options) == whole
    for place in range(1, len(text)):
        assert hear(family, text[:place], text[place:], **options) == whole
    return whole
