"""What a model says in a test, written down beforehand: one answer after the other, or each to what it is for.

A script is given to :func:`bodhi_asgi.testing.scripted` and keeps what was asked. A request that it has no answer to is
an error at the door and, whatever the host makes of that, a failure when the test ends.
"""

import math
import re
import struct
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from bodhi_asgi.testing.answers import Call, Piece, Scripted, When
from bodhi_asgi.testing.asked import Asked, Read, listed
from bodhi_asgi.testing.errors import NotScripted, ScriptImpossible
from bodhi_asgi.testing.expectations import Expectations
from bodhi_asgi.testing.gate import Gate
from bodhi_asgi.testing.template import TEMPLATE

WIDTH: Final = 256
WORD: Final = re.compile(r"\w+")


class Script(Expectations):
    """The answers of all models of one server. Any thread may use it.

    With ``strict`` (unless said otherwise) answers that nobody asked for are a failure too. ``template`` is the chat
    template of the model that it stands for, as its file has it: conversations are rendered by it, and calls and
    thoughts written as models of its family do. That needs the extra ``llama``; without one, a plain template is used
    that tells every family's host the same. Vectors have ``width`` numbers.
    """

    def __init__(self, *, strict: bool = True, template: str | None = None, width: int = WIDTH) -> None:
        super().__init__()
        self.strict = strict
        self.template = TEMPLATE if template is None else template
        self.width = width
        self._answers: list[Scripted] = []
        self._vectors: list[tuple[str | Callable[[str], bool], bytes]] = []
        self._problems: list[str] = []
        self._turn = threading.Lock()

    def says(
        self,
        *pieces: Piece,
        calls: Sequence[Call] = (),
        reasoning: str = "",
        tokens: tuple[int, int] | None = None,
        when: When | None = None,
        times: int | None = 1,
    ) -> Scripted:
        """Answer the next request that this is for: text, thoughts before it and calls after it.

        Pieces are texts; a :class:`Gate` to wait at; an exception, which ends the answer there: one of ours as the
        engine would, any other as if the engine had died; or a function that makes text of the request. ``when`` is a
        text that the user's last words contain, or a function of the :class:`Asked`. It is given ``times`` times (None:
        to all). ``tokens`` are what usage says of prompt and answer; otherwise words are counted. Of several answers
        that would do the first one written is given.
        """
        for piece in pieces:
            if isinstance(piece, type) or not (isinstance(piece, str | Gate | Exception) or callable(piece)):
                raise TypeError(f"{piece!r} is no piece of an answer: text, a gate, an exception or a function is")
        answer = Scripted(pieces, tuple(calls), reasoning, tokens, when, times)
        with self._turn:
            self._answers.append(answer)
        return answer

    def calls(
        self, name: str, arguments: Mapping[str, Any] | None = None, *, when: When | None = None, times: int | None = 1
    ) -> Scripted:
        """Answer with a call of one tool; :meth:`says` takes several, and text with them."""
        return self.says(calls=[Call(name, arguments or {})], when=when, times=times)

    def fails(self, error: Exception, *, when: When | None = None, times: int | None = 1) -> Scripted:
        """Answer with an error, before the first word: ``Busy("…")`` becomes a 429, as in production."""
        return self.says(error, when=when, times=times)

    def embeds(self, text: str | Callable[[str], bool], vector: Sequence[float]) -> None:
        """Give a text, or those that a function accepts, this vector; it is made one of length one.

        Texts without one get a vector of their words, so that texts with words in common are near each other. Raises
        ValueError for another number of values than the script's ``width``.
        """
        if len(vector) != self.width:
            raise ValueError(f"the vector has {len(vector)} values, and those of this script have {self.width}")
        with self._turn:
            self._vectors.append((text, _packed(vector)))

    def check(self) -> None:
        """Raise AssertionError for requests without an answer and, with ``strict``, answers without a request.

        What is wrong with a request is said once.
        """
        with self._turn:
            problems, self._problems = self._problems, []
            missed = [answer for answer in self._answers if answer.is_missed] if self.strict else []
        if missed:
            problems.append("the script has answers that were not asked for:\n" + _told(missed))
        if problems:
            raise AssertionError("\n".join(problems) + f"\nWhat was asked:\n{listed(self.asked)}")

    # -- the engine's side

    def note(self, asked: Asked) -> None:
        """A request has come."""
        with self._turn:
            self.asked.append(asked)
            asked.number = len(self.asked)

    def note_read(self, read: Read) -> None:
        """Texts have come that are only read."""
        with self._turn:
            self.read.append(read)

    def answer(self, asked: Asked) -> Scripted:
        """The answer to a request, which is spent with that. Raises NotScripted and ScriptImpossible."""
        with self._turn:
            for answer in self._answers:
                if not answer.is_spent and answer.suits(asked):
                    answer.asked.append(asked)
                    return answer
            left = [answer for answer in self._answers if not answer.is_spent]
            why = f"none of these is for it:\n{_told(left)}" if left else "it has no more answers"
        raise NotScripted(f"the script has no answer to {asked}; {why}")

    def tokens_of(self, asked: Asked) -> tuple[int, int] | None:
        """What usage shall say of the answer to a request: the tokens of its prompt and its own; None for the count."""
        with self._turn:
            return next((answer.tokens for answer in self._answers if asked in answer.asked), None)

    def note_problem(self, error: NotScripted | ScriptImpossible) -> None:
        """Something is wrong with the script, which :meth:`check` shall say even if nobody reads the error."""
        with self._turn:
            self._problems.append(error.message)

    def vector(self, text: str, dimensions: int | None) -> bytes:
        """The numbers of a text, as many as are wanted: 32-bit floats, least byte first."""
        with self._turn:
            vectors = list(self._vectors)
        for wanted, packed in reversed(vectors):
            if wanted == text or (callable(wanted) and wanted(text)):
                values = struct.unpack(f"<{self.width}f", packed)
                break
        else:
            counts = [0.0] * self.width
            for word in WORD.findall(text.lower()):
                counts[zlib.crc32(word.encode()) % self.width] += 1
            values = tuple(counts)
        return _packed(values[:dimensions])


def nearness(query: str, document: str) -> bytes:
    """How many words of the query a document has, from 0 to 1, as a 32-bit float."""
    wanted, found = set(WORD.findall(query.lower())), set(WORD.findall(document.lower()))
    return struct.pack("<f", len(wanted & found) / max(1, len(wanted)))


def _packed(values: Sequence[float]) -> bytes:
    length = math.hypot(*values) or 1.0
    return struct.pack(f"<{len(values)}f", *(value / length for value in values))


def _told(answers: Sequence[Scripted]) -> str:
    return "\n".join(f"  {answer}" for answer in answers)
