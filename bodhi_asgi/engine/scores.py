"""Which log probabilities go with which text: a chunk carries those of the tokens whose text it completes.

A token waits with its text, in a character that is not whole yet or in the beginning of a stop string; tokens that lie
wholly in a stop string are never shown.
"""

from collections import deque

from bodhi_asgi.engine.detokenizer import TextStream
from bodhi_asgi.engine.plan import Drawn
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.messages.answers import Logprobs, TokenLogprob


class Scores:
    """The log probabilities of one answer, between their tokens' draw and their text's release."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, int, TokenLogprob]] = deque()

    def add(self, drawn: Drawn, vocabulary: Vocabulary, begin: int, text: TextStream) -> None:
        """A token was drawn and its text pushed; ``begin`` is how many characters there were before."""
        if drawn.logprob is not None:
            self._waiting.append((begin, text.pushed + text.is_split, scored(drawn, vocabulary)))

    def release(self, text: TextStream) -> Logprobs | None:
        """Those of the tokens whose text has been shown by now; None if there are none."""
        ready = []
        while self._waiting and self._waiting[0][1] <= text.shown:
            ready.append(self._waiting.popleft()[2])
        return Logprobs(tuple(ready)) if ready else None

    def release_last(self, text: TextStream) -> Logprobs | None:
        """What is left at the end of the answer, without tokens of which nothing is shown."""
        ready = [one for begin, _, one in self._waiting if begin < text.shown or not text.is_stopped]
        self._waiting.clear()
        return Logprobs(tuple(ready)) if ready else None


def scored(drawn: Drawn, vocabulary: Vocabulary) -> TokenLogprob:
    """A token and the likeliest ones with their text.

    A control token has none; among the likeliest it is shown by its name, so that it can be told from others.
    """
    likeliest = tuple(
        TokenLogprob(token, vocabulary.piece(token) or vocabulary.spelled(token), value) for token, value in drawn.top
    )
    return TokenLogprob(drawn.token, vocabulary.piece(drawn.token), drawn.logprob, likeliest)
