"""An answer as a test writes it down, and as a model of some family would have written it."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.families.writing import WrittenCall, write_calls
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import ConstraintKind, GenerateRequest
from bodhi_asgi.testing.asked import Asked
from bodhi_asgi.testing.errors import ScriptImpossible
from bodhi_asgi.testing.gate import Gate

Piece: TypeAlias = str | Gate | Exception | Callable[[Asked], str]
"""Text; a gate to wait at; an error to end with; or what makes text of the request that is answered."""

Spoken: TypeAlias = str | Gate | Exception

When: TypeAlias = str | Callable[[Asked], bool]
"""Which requests an answer is for: those whose last words of the user contain a text, or those that a function says."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model. ``arguments`` are plain JSON data."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


def call(name: str, /, **arguments: Any) -> Call:
    """A call of the tool ``name``: ``call("weather", city="Paris")``."""
    return Call(name, arguments)


@dataclass(eq=False)
class Scripted:
    """One answer of a script, for ``times`` requests (None: any number). ``asked`` are those that were given it.

    ``tokens`` are what usage shall say of the prompt and the answer, in place of the words that were counted.
    """

    pieces: tuple[Piece, ...]
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    tokens: tuple[int, int] | None = None
    when: When | None = None
    times: int | None = 1
    asked: list[Asked] = field(default_factory=list)

    @property
    def is_spent(self) -> bool:
        """Whether it has been given as often as it may be."""
        return self.times is not None and len(self.asked) >= self.times

    @property
    def is_missed(self) -> bool:
        """Whether it was to be given, and was not often enough."""
        return not self.is_spent and (self.times is not None or not self.asked)

    def suits(self, asked: Asked) -> bool:
        """Whether it is an answer to that. Raises ScriptImpossible when the test's own function fails."""
        if self.when is None:
            return True
        if isinstance(self.when, str):
            return self.when in asked.text
        return bool(_told(self.when, asked))

    def spoken(self, asked: Asked, family: Family, opening: str) -> list[Spoken]:
        """What the model writes, as its family does; ``opening`` is what the prompt has of the answer already.

        Raises ScriptImpossible where no model could give this answer to that request.
        """
        pieces = [_spoken(piece, asked) for piece in self.pieces]
        check_possible(self, pieces, asked.request)
        head = _thoughts(self.reasoning, family, opening)
        made = [WrittenCall(str(number), each.name, each.arguments) for number, each in enumerate(self.calls)]
        tail = write_calls(family.tools, made) if made else ""
        if not isinstance(asked.request.prompt, ChatPrompt):
            head = tail = ""  # bare text is read as it is
        return [each for each in (head, *pieces, tail) if each != ""]

    def __str__(self) -> str:
        told = [piece if isinstance(piece, str) else repr(piece) for piece in self.pieces]
        told += [f"{each.name}({_arguments(each.arguments)})" for each in self.calls]
        condition = f", when {self.when!r}" if self.when is not None else ""
        often = "any number of times" if self.times is None else f"{len(self.asked)} of {self.times} times"
        return f"{' '.join(told)!r} (given {often}{condition})"


def check_possible(scripted: Scripted, pieces: Sequence[Spoken], request: GenerateRequest) -> None:
    """Raise ScriptImpossible for an answer that the real engine would not have let through."""
    prompt, use, constraint = request.prompt, request.tool_use, request.constraint
    offered = [tool.name for tool in prompt.tools] if isinstance(prompt, ChatPrompt) else []
    allowed = [name for name in offered if use is None or not use.names or name in use.names]
    for each in scripted.calls:
        if each.name not in allowed:
            raise ScriptImpossible(
                f"the script calls the tool '{each.name}', and the request allows {', '.join(allowed) or 'none'}"
            )
    if any(isinstance(piece, Exception) for piece in pieces):
        return  # it does not get to its end
    if use is not None and use.required and not scripted.calls:
        raise ScriptImpossible("the request wants a tool to be called, and the script only says something")
    if use is not None and not use.parallel and len(scripted.calls) > 1:
        raise ScriptImpossible("the request wants one call at most, and the script has several")
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    if constraint is not None and not scripted.calls and not _satisfies(text, constraint.kind, constraint.source):
        raise ScriptImpossible(f"the request holds the answer to '{constraint.param}', and the script says {text!r}")


def _satisfies(text: str, kind: ConstraintKind, source: str) -> bool:
    """Whether a text may stand where a constraint is. Of a schema and of grammars only the rough form is looked at."""
    if kind is ConstraintKind.REGEX:
        return re.fullmatch(source, text) is not None
    if kind is ConstraintKind.CHOICE:
        return text in json.loads(source)
    if kind in (ConstraintKind.JSON_OBJECT, ConstraintKind.JSON_SCHEMA):
        try:
            value = json.loads(text)
        except ValueError:
            return False
        return isinstance(value, dict) or kind is ConstraintKind.JSON_SCHEMA
    return True


def _thoughts(reasoning: str, family: Family, opening: str) -> str:
    thinking = family.thinking
    if thinking is None:
        if reasoning:
            raise ScriptImpossible("the script has reasoning, and the chat template is of a model that does not think")
        return ""
    is_open = bool(opening) and thinking.open.strip() == opening.strip()
    if not reasoning and not is_open:
        return ""
    return f"{'' if is_open else thinking.open}{reasoning}{thinking.close}"


def _spoken(piece: Piece, asked: Asked) -> Spoken:
    return piece if isinstance(piece, str | Gate | Exception) else str(_told(piece, asked))


def _told(function: Any, asked: Asked) -> Any:
    """What a function of the test says of a request."""
    try:
        return function(asked)
    except Exception as error:
        raise ScriptImpossible(f"a function of the script failed: {type(error).__name__}: {error}") from error


def _arguments(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())
