"""Chat templates: from messages to the text a model was trained on.

A template comes out of an untrusted file, so it runs in Jinja's immutable sandbox, bounded in what it may loop over
and how much it may write; what it does beyond that costs the engine process, and not the host. The functions and
filters are those of Hugging Face's ``apply_chat_template``: ``raise_exception``, ``strftime_now``, ``tojson``,
``break`` and ``continue``, and the ``generation`` block.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bodhi_asgi.engine.errors import PromptInvalid
from bodhi_asgi.messages import Message

MAX_TEMPLATE_CHARS: Final = 256 * 1024
MAX_OUTPUT_CHARS: Final = 16 * 1024 * 1024
MAX_REASON_CHARS: Final = 300

CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What a model without a template of its own is given."""


class Fence:
    """Marks text of people that reads like a control token, so that it is tokenised as text.

    The marks are Unicode noncharacters, which no interchanged text may contain; they are taken out of messages first.
    """

    OPEN: Final = "\ufdd0"
    CLOSE: Final = "\ufdd1"

    def __init__(self, control_texts: Sequence[str]) -> None:
        longest_first = sorted(control_texts, key=len, reverse=True)
        self._control = re.compile("|".join(map(re.escape, longest_first))) if control_texts else None
        self._marks = re.compile(f"[{self.OPEN}{self.CLOSE}]")
        self._fenced = re.compile(f"{self.OPEN}([^{self.OPEN}{self.CLOSE}]*){self.CLOSE}")

    def around(self, text: str) -> str:
        """``text`` with every control token in it fenced."""
        text = self._marks.sub("\ufffd", text)
        if self._control is None:
            return text
        return self._control.sub(lambda found: f"{self.OPEN}{found[0]}{self.CLOSE}", text)

    def spans(self, rendered: str) -> Iterator[tuple[str, bool]]:
        """Pieces of rendered text, each with whether it was fenced."""
        for index, text in enumerate(self._fenced.split(rendered)):
            if text:
                yield self._marks.sub("", text), index % 2 == 1


class ChatTemplate:
    """One model's template, compiled once."""

    def __init__(self, source: str | None, *, bos_token: str, eos_token: str) -> None:
        self.source = CHATML if source is None else source
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._template: jinja2.Template | None = None

    def render(self, messages: Sequence[Message], fence: Fence) -> str:
        """The prompt's text. Raises PromptInvalid with the template's own words, or with what went wrong in it."""
        shown = [
            {"role": message.role.value, "content": fence.around(message.content)}
            | ({"name": fence.around(message.name)} if message.name else {})
            for message in messages
        ]
        try:
            pieces = self._compiled().generate(messages=shown, add_generation_prompt=True, **self._tokens)
            return _bounded(pieces)
        except _Refused as error:
            reason = f"the model's chat template refuses the messages: {error.message}"
        except jinja2.TemplateError as error:
            reason = f"the model's chat template failed: {_short(str(error))}"
        except (
            RecursionError,
            MemoryError,
            OverflowError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            reason = f"the model's chat template failed: {type(error).__name__}"
        raise PromptInvalid(reason, param="messages")

    def _compiled(self) -> jinja2.Template:
        if self._template is None:
            if len(self.source) > MAX_TEMPLATE_CHARS:
                raise PromptInvalid(f"the model's chat template is longer than {MAX_TEMPLATE_CHARS} characters")
            self._template = _environment().from_string(self.source)
        return self._template


class _Refused(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class _Generation(Extension):
    """``{% generation %}…{% endgeneration %}`` marks what an assistant said; for a prompt it is plain text."""

    tags = {"generation"}  # noqa: RUF012  as the base class declares it

    def parse(self, parser: Parser) -> list[Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _bounded(pieces: Iterator[str]) -> str:
    written: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > MAX_OUTPUT_CHARS:
            raise PromptInvalid(f"the model's chat template writes more than {MAX_OUTPUT_CHARS} characters")
        written.append(piece)
    return "".join(written)


def _raise_exception(message: object) -> NoReturn:
    raise _Refused(_short(str(message)))


def _strftime_now(pattern: str) -> str:
    # Templates state the date of the place where they run.
    return datetime.now().astimezone().strftime(pattern[:100])


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON_CHARS else f"{line[:MAX_REASON_CHARS]}…"
