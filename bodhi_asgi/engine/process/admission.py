"""The door before the engine loop: in order of arrival, and one by one for those under suspicion.

A request that was under way when an engine died is tried once more *alone*: nothing else runs when it enters, and
nothing enters until it has shown its first piece of text. So an engine that dies again names its culprit, and the
innocent of that night are not blamed for it.
"""

from collections.abc import Callable


class Admission:
    """Calls ``admit`` for each request when its turn comes. Not thread-safe: it lives in the socket's event loop."""

    def __init__(self, admit: Callable[[str], None]) -> None:
        self._admit = admit
        self._waiting: dict[str, bool] = {}
        self._inside: set[str] = set()
        self._unproven: set[str] = set()
        self._suspect: str | None = None
        self._is_hurried = False

    @property
    def is_held_up(self) -> bool:
        """Whether a suspect, and everyone behind it, waits for those inside to finish."""
        return self._suspect is None and bool(self._waiting)

    def arrive(self, request_id: str, *, alone: bool) -> None:
        """Take a place in the line."""
        self._waiting[request_id] = alone
        self._advance()

    def prove(self, request_id: str) -> None:
        """The request has yielded text; a suspect is now one like the others."""
        self._unproven.discard(request_id)
        if request_id == self._suspect:
            self._suspect = None
        self._advance()

    def leave(self, request_id: str) -> None:
        """The request is finished or cancelled, wherever it stood."""
        self._waiting.pop(request_id, None)
        self._inside.discard(request_id)
        self.prove(request_id)

    def hurry(self) -> None:
        """The line has been held up for long: let the suspect in beside those that have shown text.

        It is still the only one that can be to blame; but when it is, the streams beside it break off with it.
        """
        self._is_hurried = True
        self._advance()

    def _advance(self) -> None:
        while self._waiting and self._suspect is None:
            request_id, alone = next(iter(self._waiting.items()))
            if alone and (self._unproven if self._is_hurried else self._inside):
                return
            del self._waiting[request_id]
            self._inside.add(request_id)
            self._unproven.add(request_id)
            if alone:
                self._suspect = request_id
                self._is_hurried = False
            self._admit(request_id)
