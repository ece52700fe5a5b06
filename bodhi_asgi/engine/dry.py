"""Don't Repeat Yourself: a token that would go on with something said before is made less likely, the more the longer.

The scheme is DRY of text-generation-webui (https://github.com/oobabooga/text-generation-webui/pull/5677): a token that
would extend a repetition of ``n`` tokens loses ``multiplier * base ** (n - allowed_length)``. Unlike llama.cpp's, this
one follows every repetition from token to token and finds breakers in the text that was said. Nothing is looked for in
the whole vocabulary, which for each new breaker would hold up everybody for a tenth of a second.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from bodhi_asgi.messages.generation import Sampling

DEFAULT_BASE: Final = 1.75
DEFAULT_ALLOWED_LENGTH: Final = 2
DEFAULT_LAST_N: Final = -1
DEFAULT_BREAKERS: Final = ("\n", ":", '"', "*")
MOST_LENGTH: Final = 64
"""Repetitions count up to this length; long before it a penalty leaves a token no chance."""
MOST_PENALTY: Final = 1e30


class Repetitions:
    """What a sequence would repeat. ``piece`` gives a token's text in UTF-8; ``window`` is in tokens."""

    def __init__(
        self,
        prompt: Sequence[int],
        piece: Callable[[int], bytes],
        *,
        multiplier: float,
        base: float = DEFAULT_BASE,
        allowed_length: int = DEFAULT_ALLOWED_LENGTH,
        window: int,
        breakers: Iterable[str] = DEFAULT_BREAKERS,
    ) -> None:
        self._multiplier = multiplier
        self._base = base
        self._allowed = max(1, allowed_length)
        self._window = window
        self._piece = piece
        self._breakers = tuple(breaker.encode() for breaker in breakers)
        self._longest_breaker = max(map(len, self._breakers), default=0)
        self._said: list[int] = list(prompt[-window:])
        self._places: dict[int, deque[int]] = {}
        for place, token in enumerate(self._said):
            self._places.setdefault(token, deque()).append(place)
        self._tail = b""
        # Earlier places that end like what was said last, and how long they are alike.
        self._alike = self._all_alike()

    def accept(self, token: int) -> None:
        """Hear which token was said."""
        place = len(self._said)
        before, self._alike = self._alike, {}
        places = self._places.setdefault(token, deque())
        while places and places[0] <= place - self._window:
            places.popleft()
        if not self._breaks(self._piece(token)):
            self._alike = {earlier: min(before.get(earlier - 1, 0) + 1, MOST_LENGTH) for earlier in places}
        places.append(place)
        self._said.append(token)

    def penalties(self) -> dict[int, float]:
        """What to take from the logits of which tokens."""
        lengths: dict[int, int] = {}
        oldest = len(self._said) - self._window
        for place, length in self._alike.items():
            if length >= self._allowed and place >= oldest:
                following = self._said[place + 1]
                lengths[following] = max(length, lengths.get(following, 0))
        return {
            token: min(self._multiplier * self._base ** (length - self._allowed), MOST_PENALTY)
            for token, length in lengths.items()
            if not self._holds_breaker(token)
        }

    def _all_alike(self) -> dict[int, int]:
        """Compared from scratch, once, for the prompt."""
        said = self._said
        most = self._unbroken()
        if not most:
            return {}
        last = len(said) - 1
        alike = {}
        for place in self._places[said[-1]]:
            length = 1
            while length < min(most, place + 1) and said[place - length] == said[last - length]:
                length += 1
            alike[place] = length
        del alike[last]
        return alike

    def _unbroken(self) -> int:
        """How many tokens were said since the last breaker."""
        count = 0
        for token in self._said[-MOST_LENGTH:]:
            count = 0 if self._breaks(self._piece(token)) else count + 1
        return count

    def _breaks(self, piece: bytes) -> bool:
        """Whether a breaker ends in this piece, which follows what was said before."""
        text = self._tail + piece
        self._tail = text[-(self._longest_breaker - 1) :] if self._longest_breaker > 1 else b""
        if any(breaker in text for breaker in self._breakers):
            self._tail = b""
            return True
        return False

    def _holds_breaker(self, token: int) -> bool:
        piece = self._piece(token)
        return any(breaker in piece for breaker in self._breakers)


def repetitions(
    sampling: Sampling, prompt: Sequence[int], piece: Callable[[int], bytes], n_ctx: int
) -> Repetitions | None:
    """What ``sampling`` asks for; None when that is nothing."""
    last_n = DEFAULT_LAST_N if sampling.dry_penalty_last_n is None else sampling.dry_penalty_last_n
    if not sampling.dry_multiplier or last_n == 0:
        return None
    breakers = DEFAULT_BREAKERS if sampling.dry_sequence_breakers is None else sampling.dry_sequence_breakers
    allowed = DEFAULT_ALLOWED_LENGTH if sampling.dry_allowed_length is None else sampling.dry_allowed_length
    return Repetitions(
        prompt,
        piece,
        multiplier=sampling.dry_multiplier,
        base=DEFAULT_BASE if sampling.dry_base is None else sampling.dry_base,
        allowed_length=allowed,
        window=n_ctx if last_n < 0 else min(last_n, n_ctx),
        breakers=breakers,
    )
