"""Where one answer stands between thinking and speaking, and how many of its tokens were thoughts."""

from bodhi_asgi.engine.families.types import Thinking


class Thoughts:
    """Follows the text of an answer, token by token. ``opening`` is what the prompt says of it already."""

    def __init__(self, thinking: Thinking | None, opening: str = "") -> None:
        self._thinking = thinking
        self._open = thinking.open.strip() if thinking else ""
        self._close = thinking.close.strip() if thinking else ""
        self._heard = ""
        self._has_spoken = False
        self.is_open = bool(thinking) and opening.strip().endswith(self._open)
        self.tokens = 0

    def hear(self, piece: bytes) -> None:
        """Take one more token's text."""
        if self._thinking is None:
            return
        self._heard += piece.decode(errors="ignore")
        if self.is_open:
            self.tokens += 1
            if self._close in self._heard:
                self.is_open = False
                self._heard = self._heard.partition(self._close)[2]
            else:
                self._heard = self._heard[-len(self._close) :]
            return
        if self._open in self._heard and (self._thinking.anywhere or not self._has_spoken):
            self.is_open = True
            self.tokens += 1
            self._heard = self._heard.partition(self._open)[2]
            return
        heard = self._heard.strip()
        self._has_spoken = self._has_spoken or (bool(heard) and not self._open.startswith(heard))
        self._heard = self._heard[-2 * len(self._open) :]
