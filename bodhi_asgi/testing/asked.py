"""What a model was asked in a test: by whom, in which words, with which tools, and what came of it."""

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from bodhi_asgi.engine.types import PooledWork, Work
from bodhi_asgi.messages.answers import Usage
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, InfillPrompt, Message, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from bodhi_asgi.messages.reading import EmbedRequest
from bodhi_asgi.testing.patience import PATIENCE_S, late

Outcome: TypeAlias = Literal["waiting", "answering", "answered", "cancelled", "failed"]

HOST = "host"
SHOWN_CHARS = 300


@dataclass(eq=False)
class Asked:
    """One request for an answer, as it came to the engine; of a request for several there is one for each.

    ``who`` is whose turn it was: ``host:alice`` for a user whom the host vouches for, also when a token of hers asks,
    ``token:`` and the id for a token of the host, ``host`` for the application itself. ``prompt`` is what the chat
    template made of the conversation. ``said`` is the text that the model has written so far, as it wrote it, and
    ``usage`` are the tokens it took, once it is over. ``outcome`` is cancelled when its reader left.
    """

    who: str
    request: GenerateRequest
    number: int = 0
    prompt: str = ""
    said: str = ""
    usage: Usage | None = None
    outcome: Outcome = "waiting"
    error: Exception | None = None
    _is_over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, work: Work) -> "Asked":
        """What is known of a request when it comes."""
        return cls(work.owner or HOST, work.request)

    @property
    def model(self) -> str:
        """The model's name in the request."""
        return self.request.model

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The conversation in the shape in which clients write it; none for bare text."""
        prompt = self.request.prompt
        return [_shown(message) for message in prompt.messages] if isinstance(prompt, ChatPrompt) else []

    @property
    def text(self) -> str:
        """The last words of the user; of a request without a conversation, its text."""
        prompt = self.request.prompt
        if isinstance(prompt, ChatPrompt):
            return next((words(each.content) for each in reversed(prompt.messages) if each.role is Role.USER), "")
        if isinstance(prompt, InfillPrompt):
            return prompt.prefix + prompt.suffix
        return prompt.text if isinstance(prompt, TextPrompt) else self.prompt

    @property
    def system(self) -> str:
        """The words of the system, by whomever they were given: the host, or an alias."""
        return "\n".join(each["content"] for each in self.messages if each["role"] == Role.SYSTEM)

    @property
    def tools(self) -> list[str]:
        """The names of the tools that were offered."""
        prompt = self.request.prompt
        return [tool.name for tool in prompt.tools] if isinstance(prompt, ChatPrompt) else []

    @property
    def results(self) -> list[str]:
        """What the tools have said since the model last called some."""
        since: list[str] = []
        for message in self.messages:
            since = [*since, message["content"]] if message["role"] == Role.TOOL else []
        return since

    @property
    def images(self) -> int:
        """How many pictures came with it."""
        prompt = self.request.prompt
        return len(prompt.images) if isinstance(prompt, ChatPrompt) else 0

    @property
    def sampling(self) -> Sampling:
        """How the next token was to be chosen; None stands for the model's default."""
        return self.request.sampling

    @property
    def is_over(self) -> bool:
        """Whether it has come to its end, good or bad."""
        return self._is_over.is_set()

    def wait_over(self, *, timeout_s: float = PATIENCE_S) -> None:
        """Return once it has come to its end. Raises AssertionError after ``timeout_s``."""
        if not self._is_over.wait(timeout_s):
            raise late(f"this request did not end: {self}", timeout_s)

    async def over(self, *, timeout_s: float = PATIENCE_S) -> None:
        """As :meth:`wait_over`, for tests that are asynchronous."""
        await asyncio.to_thread(self.wait_over, timeout_s=timeout_s)

    def end(self, outcome: Outcome, error: Exception | None = None) -> None:
        """It is over. Called by the engine; only the first word counts."""
        if not self.is_over:
            self.outcome, self.error = outcome, error
            self._is_over.set()

    def __str__(self) -> str:
        tools = f", with the tools {', '.join(self.tools)}" if self.tools else ""
        return f"#{self.number} {self.who} asked '{self.model}' ({self.outcome}){tools}: {short(self.text)!r}"

    __repr__ = __str__


@dataclass(frozen=True, slots=True)
class Read:
    """Texts that a model was given to read: for their vectors, or (with a ``query``) to be ranked."""

    who: str
    model: str
    texts: tuple[str, ...]
    query: str | None = None

    @classmethod
    def of(cls, work: PooledWork) -> "Read":
        """What is known of a request when it comes. Tokens that a client made itself are no text."""
        request, who = work.request, work.owner or HOST
        if isinstance(request, EmbedRequest):
            texts = tuple(each.text for each in request.inputs if isinstance(each, TextPrompt))
            return cls(who, request.model, texts)
        return cls(who, request.model, request.documents, request.query)


def listed(many: Sequence[Asked]) -> str:
    """All of them, one a line, for the message of a failure."""
    return "\n".join(f"  {one}" for one in many) or "  nothing"


def words(content: str) -> str:
    """The text of a message, with a word where a picture stands."""
    return content.replace(IMAGE_MARK, "[image]")


def short(text: str) -> str:
    """A text for one line of a message."""
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"


def _shown(message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role.value, "content": words(message.content)}
    extra: Mapping[str, Any] = {
        "name": message.name,
        "reasoning_content": message.reasoning,
        "tool_call_id": message.tool_call_id,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ],
    }
    return shown | {name: value for name, value in extra.items() if value}
