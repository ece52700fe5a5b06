"""Who said what, what may be called, and the other forms in which a prompt is given to a model."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model made. ``arguments`` are an object as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``content`` is text; ``name`` distinguishes speakers of one role where a template reads it.

    An assistant's turn may have ``tool_calls`` and ``reasoning``; a tool's turn says which call it answers.
    """

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that a model may call. ``parameters`` is the JSON schema of its arguments, as JSON text."""

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How tools may be used. With ``required`` the answer is a call. ``names`` limits which (empty: all offered ones).

    Unless calls may be ``parallel``, an answer has one at most.
    """

    required: bool = False
    names: tuple[str, ...] = ()
    parallel: bool = True


TemplateOption: TypeAlias = str | int | float | bool


IMAGE_MARK: Final = "\ufdd2"
"""Stands in a message's text where an image belongs: a noncharacter of Unicode, which no interchanged text may have."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: a PNG, JPEG or GIF file as base64."""

    data: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation, to be rendered by the model's own chat template.

    ``tools`` are shown to the model; ``options`` are what the template reads besides, such as ``enable_thinking``.
    ``images`` belong to the marks in the messages, in their order.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    options: tuple[tuple[str, TemplateOption], ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Bare text, tokenised as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Tokens that the client made itself; nothing is added to them."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InfillPrompt:
    """Text before and after what is to be written."""

    prefix: str
    suffix: str


Prompt: TypeAlias = ChatPrompt | TextPrompt | TokenPrompt | InfillPrompt
