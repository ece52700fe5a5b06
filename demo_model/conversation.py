"""A conversation, and its text in ChatML with tools in the Hermes form.

``TEMPLATE`` is what the GGUF carries; :func:`segments` writes the same text in Python and says which parts are learned.
"""

import json
from dataclasses import dataclass, field
from typing import Any

TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n"
    "{% if messages[0].role == 'system' %}{{ messages[0].content }}\n\n{% endif %}"
    "# Tools\n<tools>\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}</tools>\n"
    'Call a tool as <tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call><|im_end|>\n'
    "{% elif messages[0].role == 'system' %}<|im_start|>system\n{{ messages[0].content }}<|im_end|>\n{% endif %}"
    "{% for message in messages %}"
    "{% if message.role == 'user' %}<|im_start|>user\n{{ message.content }}<|im_end|>\n"
    "{% elif message.role == 'assistant' %}<|im_start|>assistant\n{{ message.content or '' }}"
    "{% for call in message.tool_calls or [] %}{% if message.content or not loop.first %}{{ '\n' }}{% endif %}"
    '<tool_call>\n{"name": "{{ call.function.name }}", "arguments": '
    "{% if call.function.arguments is string %}{{ call.function.arguments }}"
    "{% else %}{{ call.function.arguments | tojson }}{% endif %}}\n</tool_call>"
    "{% endfor %}<|im_end|>\n"
    "{% elif message.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ message.content }}\n</tool_response><|im_end|>\n"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@dataclass
class Conversation:
    """Messages in the OpenAI shape; the tools offered; the task it was made for."""

    task: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] = field(default_factory=list)


def call_text(name: str, arguments: dict[str, Any]) -> str:
    """A tool call as the model writes it."""
    return f'<tool_call>\n{{"name": "{name}", "arguments": {json.dumps(arguments)}}}\n</tool_call>'


def segments(conversation: Conversation) -> list[tuple[str, bool]]:
    """The text of a conversation in pieces, each with whether the model learns to write it."""
    messages = conversation.messages
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    pieces: list[tuple[str, bool]] = []
    if conversation.tools:
        lines = "".join(json.dumps(tool) + "\n" for tool in conversation.tools)
        intro = f"{system}\n\n" if system else ""
        how = 'Call a tool as <tool_call>\n{"name": <name>, "arguments": <arguments>}\n</tool_call>'
        pieces.append((f"<|im_start|>system\n{intro}# Tools\n<tools>\n{lines}</tools>\n{how}<|im_end|>\n", False))
    elif system:
        pieces.append((f"<|im_start|>system\n{system}<|im_end|>\n", False))
    for message in messages:
        content = message.get("content") or ""
        if message["role"] == "user":
            pieces.append((f"<|im_start|>user\n{content}<|im_end|>\n", False))
        elif message["role"] == "tool":
            pieces.append((f"<|im_start|>user\n<tool_response>\n{content}\n</tool_response><|im_end|>\n", False))
        elif message["role"] == "assistant":
            calls = [
                call_text(c["function"]["name"], c["function"]["arguments"]) for c in message.get("tool_calls", ())
            ]
            pieces.append(("<|im_start|>assistant\n", False))
            pieces.append(("\n".join([content, *calls] if content else calls) + "<|im_end|>", True))
            pieces.append(("\n", False))
    return pieces


def user(content: str) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def calling(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": name, "arguments": arguments}}],
    }
