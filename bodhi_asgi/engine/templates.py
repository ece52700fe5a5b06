"""Chat templates: from messages to the text a model was trained on.

A template comes out of an untrusted file, so it runs in Jinja's immutable sandbox, bounded in what it may loop over
and how much it may write; what it does beyond that costs the engine process, and not the host. The functions and
filters are those of Hugging Face's ``apply_chat_template``: ``raise_exception``, ``strftime_now``, ``tojson``,
``break`` and ``continue``, and the ``generation`` block.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.nodes import Node
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bodhi_asgi.engine.errors import PromptInvalid
from bodhi_asgi.engine.families.shown import Stage, without_system
from bodhi_asgi.engine.families.table import recognise
from bodhi_asgi.messages.conversation import ChatPrompt

MAX_TEMPLATE_CHARS: Final = 256 * 1024
MAX_OUTPUT_CHARS: Final = 16 * 1024 * 1024
MAX_OUTPUT_PIECES: Final = 256 * 1024
"""Texts and values that a template writes one after the other: some ten for each message or call."""

MAX_REASON_CHARS: Final = 300

CHATML: Final = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""What a model without a template of its own is given."""


class Fence:
    """Marks text of people that reads like a control token, so that it is tokenised as text.

    The marks are Unicode noncharacters, which no interchanged text may contain; they are taken out of messages first.
    Where a template prints text by its escapes, as Python prints a list, the marks are found by theirs: people's own
    are written in capitals, which mean the same.
    """

    OPEN: Final = "\ufdd0"
    CLOSE: Final = "\ufdd1"
    ESCAPES: Final = (("\\ufdd0", "\\uFDD0", OPEN), ("\\ufdd1", "\\uFDD1", CLOSE))

    def __init__(self, control_texts: Sequence[str], marks: Sequence[str] = ()) -> None:
        self._control = _any_of(control_texts)
        self._all = _any_of([*control_texts, *marks])
        self._marks = re.compile(f"[{self.OPEN}{self.CLOSE}]")
        self._fenced = re.compile(f"{self.OPEN}([^{self.OPEN}{self.CLOSE}]*){self.CLOSE}")

    def around(self, text: str) -> str:
        """``text`` with every control token and mark of thoughts and calls in it fenced."""
        return self._around(text, self._all)

    def around_answer(self, text: str) -> str:
        """``text`` that a model may have written, with its control tokens fenced; templates look for its marks."""
        return self._around(text, self._control)

    def _around(self, text: str, wanted: re.Pattern[str] | None) -> str:
        text = self._marks.sub("\ufffd", text)
        for escape, capitals, _ in self.ESCAPES:
            text = text.replace(escape, capitals)
        if wanted is None:
            return text
        return wanted.sub(lambda found: f"{self.OPEN}{found[0]}{self.CLOSE}", text)

    def spans(self, rendered: str) -> Iterator[tuple[str, bool]]:
        """Pieces of rendered text, each with whether it was fenced."""
        for escape, _, mark in self.ESCAPES:
            rendered = rendered.replace(escape, mark)
        for index, text in enumerate(self._fenced.split(rendered)):
            if text:
                yield self._marks.sub("", text), index % 2 == 1


def _any_of(texts: Sequence[str]) -> re.Pattern[str] | None:
    longest_first = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first))) if texts else None


class ChatTemplate:
    """One model's template, compiled once."""

    def __init__(self, source: str | None, *, bos_token: str, eos_token: str) -> None:
        self.source = CHATML if source is None else source
        self.family = recognise(self.source)
        self._stage = Stage(self.source, self.family)
        self._tokens = {"bos_token": bos_token, "eos_token": eos_token}
        self._template: jinja2.Template | None = None

    def render(self, prompt: ChatPrompt, fence: Fence) -> str:
        """The prompt's text. Raises PromptInvalid with the template's own words, or with what went wrong in it.

        A template that fails is tried again with arguments of calls as text, with its tools described in words, and
        with the system's words in the first turn of the user, where the prompt has such.
        """
        refusal: PromptInvalid | None = None
        for variables in self._attempts(prompt, fence):
            try:
                return self._rendered(variables)
            except PromptInvalid as error:
                if not isinstance(error.__cause__, _Refused | TypeError | RecursionError | jinja2.UndefinedError):
                    raise
                refusal = refusal or error
        assert refusal is not None
        raise refusal

    def _attempts(self, prompt: ChatPrompt, fence: Fence) -> Iterator[Mapping[str, Any]]:
        shown = self._stage.variables(prompt, fence)
        yield shown
        if any(message.tool_calls for message in prompt.messages):
            yield self._stage.variables(prompt, fence, arguments_as_text=True)
        if prompt.tools:
            shown = self._stage.variables(prompt, fence, tools_in_words=True)
            yield shown
        messages = shown["messages"]
        if messages[0]["role"] == "system" and len(messages) > 1:
            yield {**shown, "messages": without_system(messages)}

    def _rendered(self, variables: Mapping[str, Any]) -> str:
        cause: Exception
        shown = {**variables, "messages": _Given(variables["messages"])}
        try:
            return _bounded(self._compiled().generate(**{"add_generation_prompt": True, **shown, **self._tokens}))
        except PromptInvalid:
            raise
        except _Refused as error:
            cause, reason = error, f"the model's chat template refuses the messages: {error.message}"
        except jinja2.TemplateError as error:
            cause, reason = error, f"the model's chat template failed: {_short(str(error))}"
        except Exception as error:  # whatever its filters raise: a template is a stranger's program
            cause, reason = error, f"the model's chat template failed: {type(error).__name__}"
        raise PromptInvalid(reason, param="messages") from cause

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


class _Given(list[Any]):
    """The messages, which a template may not change."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """Templates may fill the lists that they made themselves, as some do to number calls."""

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if type(obj) is list and attr in ("append", "pop"):
            return True
        return super().is_safe_attribute(obj, attr, value)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def _bounded(pieces: Iterator[str]) -> str:
    written: list[str] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        written.append(piece)
        if size > MAX_OUTPUT_CHARS:
            raise PromptInvalid(f"the model's chat template writes more than {MAX_OUTPUT_CHARS} characters")
        if len(written) > MAX_OUTPUT_PIECES:
            raise PromptInvalid(f"the model's chat template writes more than {MAX_OUTPUT_PIECES} pieces")
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
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
        default=_listed,
    )


def _listed(value: Any) -> list[Any]:
    """What filters such as ``map`` yield, as the list that it stands for."""
    if isinstance(value, Iterator):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON")


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON_CHARS else f"{line[:MAX_REASON_CHARS]}…"
