"""What a chat template is shown: a conversation with its tools as the objects that templates expect.

Templates differ in what they can say. Where one knows no tools, they are described in the system message and earlier
calls are written into the text; where one insists on a form of ids or arguments, it is given that. All text of people
passes the fence on its way.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from bodhi_asgi.engine.families.table import reads_tools
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.families.writing import WrittenCall, write_calls
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role, ToolCall, ToolSpec

Guard: TypeAlias = Callable[[str], str]
"""Marks what in a text of people reads like a control token."""


class Guards(Protocol):
    """What :class:`~bodhi_asgi.engine.templates.Fence` does."""

    def around(self, text: str) -> str: ...
    def around_answer(self, text: str) -> str: ...


Shown: TypeAlias = dict[str, Any]

TOOL_ROLE: Final = re.compile(r"""['"]tool['"]""")
LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


class Stage:
    """What one template can be shown, found out from its text once."""

    def __init__(self, source: str, family: Family) -> None:
        self._family = family
        self._reads_tools = reads_tools(source, family)
        self._reads_calls = "tool_calls" in source
        self._reads_results = not family.is_generic or TOOL_ROLE.search(source) is not None
        self._reads_thinking = re.search(r"\.thinking\b|\[['\"]thinking['\"]\]", source) is not None

    def variables(
        self, prompt: ChatPrompt, fence: Guards, *, arguments_as_text: bool = False, tools_in_words: bool = False
    ) -> Shown:
        """What the template is called with. Raises nothing; what a template cannot take it refuses itself."""
        guard = fence.around
        tools = [_tool(tool, guard, described=self._family.name == "command-r") for tool in prompt.tools]
        as_text = arguments_as_text or self._family.arguments_as_text
        names = {call.id: call.name for message in prompt.messages for call in message.tool_calls}
        turns = _one_by_one(prompt.messages) if self._family.one_call else prompt.messages
        messages = [self._message(message, names, fence, as_text=as_text) for message in turns]
        if not self._reads_results and any(message.role is Role.TOOL for message in turns):
            messages = _joined(messages)
        shown: Shown = {**dict(prompt.options), "messages": messages}
        if tools and (tools_in_words or not self._reads_tools):
            shown["messages"] = _with_system(messages, _description(tools, self._family))
        elif tools and self._family.tools_variable == "system":
            shown["messages"] = _with_system(messages, "")
            shown["messages"][0]["tools"] = _dumps([tool["function"] for tool in tools])
        elif self._family.tools_variable == "functions":
            shown["functions"] = _dumps([tool["function"] for tool in tools])
            shown["datetime"] = datetime.now().astimezone().strftime("%B %d %Y %H:%M:%S %Z")
        elif tools:
            shown[self._family.tools_variable] = tools
        return shown

    def _message(self, message: Message, names: Mapping[str, str], fence: Guards, *, as_text: bool) -> Shown:
        guard = fence.around
        own = fence.around_answer if message.role is Role.ASSISTANT else guard
        shown: Shown = {"role": message.role.value, "content": own(message.content)}
        if message.name:
            shown["name"] = guard(message.name)
        if message.role is Role.TOOL:
            call_id = message.tool_call_id or ""
            shown["tool_call_id"] = guard(self._id(call_id))
            if not message.name and call_id in names:
                shown["name"] = names[call_id]
            if not self._reads_results:
                shown = {"role": "user", "content": f"<tool_response>\n{shown['content']}\n</tool_response>"}
        if message.reasoning:
            shown["reasoning_content"] = guard(message.reasoning)
            # A template that reads both refuses a turn that has both.
            if self._reads_thinking and not (message.tool_calls and message.content):
                shown["thinking"] = shown["reasoning_content"]
        is_read = self._reads_calls and not (self._family.silent_calls and message.content)
        if message.tool_calls and is_read:
            if self._family.silent_calls:
                shown["content"] = None
            shown["tool_calls"] = [self._call(call, guard, as_text=as_text) for call in message.tool_calls]
        elif message.tool_calls:
            calls = [
                WrittenCall(self._id(call.id), call.name, _arguments(call, guard, {})) for call in message.tool_calls
            ]
            written = write_calls(self._family.tools, calls)
            shown["content"] = f"{shown['content']}\n{written}" if shown["content"] else written
        return shown

    def _call(self, call: ToolCall, guard: Guard, *, as_text: bool) -> Shown:
        arguments = _arguments(call, guard, None)
        function = {"name": call.name, "arguments": _dumps(arguments) if as_text else arguments}
        return {"id": guard(self._id(call.id)), "type": "function", "function": function}

    def _id(self, call_id: str) -> str:
        """The id as the template takes it: the same one for the call and its result."""
        if self._family.tools.ids == "any" or re.fullmatch("[A-Za-z0-9]{9}", call_id):
            return call_id
        number = int.from_bytes(hashlib.sha256(call_id.encode("utf-8", "replace")).digest())
        return "".join(LETTERS[number // 62**place % 62] for place in range(9))


def _one_by_one(messages: Sequence[Message]) -> list[Message]:
    """The conversation as if each call had been made, and answered, before the next."""
    results = {message.tool_call_id: message for message in messages if message.role is Role.TOOL}
    told: set[str | None] = set()
    turns: list[Message] = []
    for message in messages:
        if len(message.tool_calls) > 1:
            for number, call in enumerate(message.tool_calls):
                turn = replace(message, tool_calls=(call,))
                turns.append(replace(turn, content="", reasoning=None) if number else turn)
                if call.id in results:
                    turns.append(results[call.id])
                    told.add(call.id)
        elif message.role is not Role.TOOL or message.tool_call_id not in told:
            turns.append(message)
    return turns


def _tool(tool: ToolSpec, guard: Guard, *, described: bool) -> Shown:
    parameters = _guarded(json.loads(tool.parameters), guard)
    if described and isinstance(parameters, dict):
        for schema in (parameters.get("properties") or {}).values():
            if isinstance(schema, dict):
                schema.setdefault("description", "")
                schema.setdefault("additionalProperties", {})
    function = {"name": tool.name, "description": guard(tool.description), "parameters": parameters}
    return {"type": "function", "function": function}


def _arguments(call: ToolCall, guard: Guard, otherwise: Any) -> Any:
    """The arguments as data; what is no object, as an answer cut short may leave behind, stays text."""
    try:
        value = json.loads(call.arguments)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return _guarded(value, guard)
    return guard(call.arguments) if otherwise is None else otherwise


def _guarded(value: Any, guard: Guard) -> Any:
    if isinstance(value, str):
        return guard(value)
    if isinstance(value, dict):
        return {guard(key): _guarded(item, guard) for key, item in value.items()}
    if isinstance(value, list):
        return [_guarded(item, guard) for item in value]
    return value


def _description(tools: Sequence[Shown], family: Family) -> str:
    lines = "\n".join(_dumps(tool["function"]) for tool in tools)
    example = write_calls(family.tools, [WrittenCall("0", "name_of_the_tool", {"name_of_an_argument": "value"})])
    return (
        f"# Tools\n\nYou can call these tools, one per line:\n{lines}\n\n"
        f"To call a tool, write this and nothing else, once for each call:\n{example}"
    )


def _with_system(messages: list[Shown], text: str) -> list[Shown]:
    """The messages with ``text`` at the end of the first one, the system's, which is made if there is none."""
    if messages and messages[0]["role"] == "system":
        content = f"{messages[0]['content']}\n\n{text}" if text else messages[0]["content"]
        return [{**messages[0], "content": content}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]


def without_system(messages: Sequence[Shown]) -> list[Shown]:
    """The same words for a template that has no system role: they begin the first turn of the user."""
    first, *rest = messages
    return _joined([{**first, "role": "user"}, *rest])


def _joined(messages: Sequence[Shown]) -> list[Shown]:
    """Turns of the user that follow each other as one, because templates insist on taking turns."""
    joined: list[Shown] = []
    for message in messages:
        if joined and message["role"] == joined[-1]["role"] == "user":
            joined[-1] = {**joined[-1], "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
