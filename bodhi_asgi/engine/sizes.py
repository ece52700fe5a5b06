"""What is too large for a context, told before it is tokenised: a tokenizer's cost and depth grow with its text."""

from collections.abc import Iterable
from typing import Final

from bodhi_asgi.engine.errors import ContextLengthExceeded, PromptInvalid
from bodhi_asgi.messages.conversation import ChatPrompt, InfillPrompt, Message, Prompt, TextPrompt

MAX_PROMPT_BYTES: Final = 4 * 1024 * 1024
MAX_BYTES_PER_TOKEN: Final = 16
LONG_BYTES: Final = 8 * 1024
"""What the slowest tokenizer reads in the time of a token or two."""

CALL_BYTES: Final = 4 * MAX_BYTES_PER_TOKEN
"""A call that says nothing takes some tokens too."""


def check_size(prompt: Prompt, max_tokens: int | None, n_ctx: int) -> None:
    """Refuse a prompt that cannot fit. Raises ContextLengthExceeded naming the size and the limit."""
    if max_tokens is not None and max_tokens > n_ctx:
        raise ContextLengthExceeded(
            f"'max_tokens' is {max_tokens}, and the context holds {n_ctx} tokens", param="max_tokens", n_ctx=n_ctx
        )
    if isinstance(prompt, ChatPrompt):
        check_bytes(sum(map(_bytes_of, prompt.messages)), "the prompt", "messages", n_ctx)
    elif isinstance(prompt, TextPrompt):
        check_bytes(_bytes(prompt.text), "the prompt", "prompt", n_ctx)
    elif isinstance(prompt, InfillPrompt):
        check_bytes(_bytes(prompt.prefix) + _bytes(prompt.suffix), "the prompt", "prompt", n_ctx)


def is_long(prompt: Prompt) -> bool:
    """Whether running streams would feel it if this was rendered and tokenised between two of their steps."""
    if isinstance(prompt, ChatPrompt):
        tools = sum(_bytes(tool.description) + _bytes(tool.parameters) for tool in prompt.tools)
        return bool(prompt.images) or sum(map(_bytes_of, prompt.messages)) + tools > LONG_BYTES
    if isinstance(prompt, TextPrompt):
        return _bytes(prompt.text) > LONG_BYTES
    return isinstance(prompt, InfillPrompt) and _bytes(prompt.prefix) + _bytes(prompt.suffix) > LONG_BYTES


def param_of(prompt: Prompt) -> str:
    """The field of a request that a prompt came from."""
    return "messages" if isinstance(prompt, ChatPrompt) else "prompt"


def check_text(text: str, longest: int, *, param: str) -> None:
    """Refuse one text of several that cannot have ``longest`` tokens or fewer. Raises ContextLengthExceeded."""
    check_bytes(_bytes(text), f"'{param}'", param, longest)


def check_bytes(size: int, what: str, param: str, n_ctx: int) -> None:
    """Refuse so many bytes of text for a context. Raises ContextLengthExceeded."""
    limit = min(MAX_PROMPT_BYTES, MAX_BYTES_PER_TOKEN * n_ctx)
    if size > limit:
        raise ContextLengthExceeded(
            f"{what} has {size} bytes; a context of {n_ctx} tokens takes at most {limit}", param=param, n_ctx=n_ctx
        )


def _bytes_of(message: Message) -> int:
    """What every template shows of a turn; it takes a token at least to say that there is one, and some for a call."""
    calls = sum(_bytes(call.name) + _bytes(call.arguments) + CALL_BYTES for call in message.tool_calls)
    return _bytes(message.content) + calls + MAX_BYTES_PER_TOKEN


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def checked(tokens: Iterable[int], n_vocab: int, *, param: str = "tokens") -> list[int]:
    """The tokens of a client, when the vocabulary has them all: others end llama.cpp. Raises PromptInvalid."""
    found = list(tokens)
    for token in found:
        if not 0 <= token < n_vocab:
            raise PromptInvalid(
                f"there is no token {token}; this model's tokens are from 0 to {n_vocab - 1}", param=param
            )
    return found
