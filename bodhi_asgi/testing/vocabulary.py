"""Words as tokens, as they come, and conversations by a chat template."""

from collections.abc import Sequence
from typing import Final

from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.runners.echo import EchoVocabulary
from bodhi_asgi.messages.conversation import ChatPrompt, InfillPrompt, Prompt, TextPrompt
from bodhi_asgi.testing.template import Rendering

TAIL_TOKENS: Final = 16


class ScriptedVocabulary(EchoVocabulary):
    """A token is a word of up to eight characters with the space before it; longer words are several."""

    def __init__(self, rendering: Rendering) -> None:
        super().__init__()
        self._rendering = rendering

    def encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, ChatPrompt):
            return self.words(self.render(prompt))
        if isinstance(prompt, TextPrompt):
            return self.words(prompt.text)
        return self.words(prompt.prefix + prompt.suffix) if isinstance(prompt, InfillPrompt) else super().encode(prompt)

    def render(self, prompt: ChatPrompt) -> str:
        return self._rendering(prompt)

    @property
    def family(self) -> Family:
        return self._rendering.family

    def opening(self, tokens: Sequence[int]) -> str:
        return self.family.opening(self.text(tokens[-TAIL_TOKENS:]))

    def words(self, text: str) -> list[int]:
        """Text as tokens."""
        return self._words(text)

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text."""
        return b"".join(map(self.piece, tokens)).decode("utf-8", "replace")
