"""Limits of grammars that come from clients, counted before anything is compiled: Lark as llguidance has it, and GBNF.

A client's grammar describes text. What would let it name control tokens, reach other grammars, or take tokens back that
were shown already is refused by name.
"""

import json
import re
from typing import Any, Final

from llguidance.gbnf_to_lark import gbnf_to_lark

from bodhi_asgi.engine.constraints.pattern import MAX_REGEX_CHARS, check_count, check_pattern
from bodhi_asgi.engine.constraints.schema import guided, load_schema
from bodhi_asgi.engine.errors import ConstraintInvalid

MAX_GRAMMAR_BYTES: Final = 16 * 1024
MAX_RULES: Final = 1000
MAX_CHOICES: Final = 1000
MAX_NESTING: Final = 64
OPTIONS: Final = frozenset({"lazy", "suffix", "capture"})
"""Options in brackets after a rule's name. Others take back what was shown, or say what a client says elsewhere."""

_LARK: Final = re.compile(
    r"""(?P<string>"(?:[^"\\\n]|\\.)*"i?)
      | (?P<comment>(?://|\#)[^\n]*)
      | (?P<regex>/(?:[^/\\\n]|\\.){1,1024}/[a-z]*)
      | (?P<unclosed>["/])
      | (?P<options>\[[^\][\n"/]*(?:"(?:[^"\\\n]|\\.)*"[^\][\n"/]*)*\](?=\s*:))
      | (?P<directive>%[a-z_]*)
      | (?P<special><[^>\n]{0,40})
      | (?P<foreign>@[\w-]*)
      | (?P<count>\{\s*(?P<least>\d*)\s*(?:,\s*(?P<most>\d*)\s*)?\}|~\s*(?P<from>\d+)(?:\s*\.\.\s*(?P<to>\d+))?)
      | (?P<open>[(\[])
      | (?P<close>[)\]])
      | (?P<rule>:)""",
    re.VERBOSE | re.DOTALL,
)
_GBNF: Final = re.compile(
    r"""(?P<string>"(?:[^"\\]|\\.)*")
      | (?P<class>\[(?:[^\]\\]|\\.)*\])
      | (?P<unclosed>["\[])
      | (?P<comment>\#[^\n]*)
      | (?P<count>\{\s*(?P<least>\d*)\s*(?:,\s*(?P<most>\d*)\s*)?\})
      | (?P<open>\()
      | (?P<close>\))
      | (?P<rule>::=)""",
    re.VERBOSE | re.DOTALL,
)
_OPTION: Final = re.compile(r'"(?:[^"\\]|\\.)*"|([A-Za-z_]+)')


def checked_lark(text: str, param: str) -> str:
    """A client's Lark grammar, with its inner schemas made our own. Raises ConstraintInvalid."""
    _check_size(text, param)
    limits = _Limits(param)
    written: list[str] = []
    position = copied = 0
    while (found := _LARK.search(text, position)) is not None:
        position = found.end()
        kind = found.lastgroup
        if kind == "directive":
            end, replacement = _directive(text, found, param)
            if replacement is not None:
                written += (text[copied : found.end()], replacement)
                copied = end
            position = end
        elif kind == "regex":
            body = found[0][1 : found[0].rindex("/")]
            check_pattern(body, f"a regular expression of '{param}'", param, max_chars=MAX_REGEX_CHARS)
        elif kind == "special":
            raise ConstraintInvalid(f"'{param}' names the token {_brief(found[0])}; describe text instead", param=param)
        elif kind == "foreign":
            raise ConstraintInvalid(f"'{param}' refers to another grammar, {_brief(found[0])}", param=param)
        elif kind == "options":
            _check_options(found[0], param)
        else:
            limits.count(found)
    return "".join([*written, text[copied:]])


def lark_of_gbnf(text: str, param: str) -> str:
    """A client's GBNF grammar as Lark. Raises ConstraintInvalid."""
    _check_size(text, param)
    limits = _Limits(param)
    for found in _GBNF.finditer(text):
        limits.count(found)
    try:
        return gbnf_to_lark(text)
    except Exception as error:  # the converter raises bare exceptions, with words for people
        raise ConstraintInvalid(f"'{param}' is not a GBNF grammar: {_brief(str(error), 200)}", param=param) from None


def lark_of_choice(source: str, param: str) -> str:
    """A grammar that has the strings of a JSON list, and nothing else. Raises ConstraintInvalid."""
    _check_size(source, param)
    try:
        choices = json.loads(source)
    except (ValueError, RecursionError):
        choices = None
    if not (isinstance(choices, list) and choices and all(isinstance(choice, str) and choice for choice in choices)):
        raise ConstraintInvalid(f"'{param}' is a list of texts, of which none is empty", param=param)
    if len(choices) > MAX_CHOICES:
        raise ConstraintInvalid(
            f"'{param}' has {len(choices)} choices; at most {MAX_CHOICES} are accepted", param=param
        )
    return "start: " + " | ".join(map(lark_text, choices))


def lark_text(text: str) -> str:
    """``text`` as a string of a Lark grammar."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    # There is no escape beyond the first plane, and none is needed there.
    return char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}"


class _Limits:
    """Counts what both notations have."""

    def __init__(self, param: str) -> None:
        self._param = param
        self._depth = 0
        self._rules = 0

    def count(self, found: re.Match[str]) -> None:
        match found.lastgroup:
            case "open":
                self._depth += 1
                if self._depth > MAX_NESTING:
                    self._refuse(f"is nested deeper than {MAX_NESTING} levels")
            case "close":
                self._depth -= 1
            case "unclosed":
                self._refuse(f"opens {found[0]} and does not close it, or writes more than fits between")
            case "rule":
                self._depth = 0
                self._rules += 1
                if self._rules > MAX_RULES:
                    self._refuse(f"has more than {MAX_RULES} rules")
            case "count":
                named = found.groupdict()
                for name in ("least", "most", "from", "to"):
                    check_count(named.get(name) or "", f"'{self._param}'", self._param)

    def _refuse(self, what: str) -> None:
        raise ConstraintInvalid(f"'{self._param}' {what}", param=self._param)


def _check_size(text: str, param: str) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_GRAMMAR_BYTES:
        raise ConstraintInvalid(
            f"'{param}' has {size} bytes; at most {MAX_GRAMMAR_BYTES} are accepted for a grammar", param=param
        )
    if not text.strip():
        raise ConstraintInvalid(f"'{param}' is empty, which would allow anything; leave it out", param=param)


def _directive(text: str, found: re.Match[str], param: str) -> tuple[int, str | None]:
    """Where reading goes on after a directive, and what its JSON is to be replaced by."""
    name = found[0]
    if name in ("%ignore", "%import"):
        return found.end(), None
    if name not in ("%json", "%regex", "%llguidance"):
        raise ConstraintInvalid(f"'{param}' uses the directive {_brief(name)}, which is not supported", param=param)
    begin = found.end() + len(text[found.end() :]) - len(text[found.end() :].lstrip())
    value: Any
    try:
        value, end = json.JSONDecoder().raw_decode(text, begin)
    except (ValueError, RecursionError):
        raise ConstraintInvalid(f"'{param}' has no valid JSON after {name}", param=param) from None
    if name == "%llguidance" and value != {}:
        raise ConstraintInvalid(f"'{param}' sets options with %llguidance; only {{}} is accepted", param=param)
    if name != "%json":
        return end, None
    schema = load_schema(text[begin:end], param)
    return end, " " + json.dumps(guided(schema))


def _check_options(text: str, param: str) -> None:
    for found in _OPTION.finditer(text):
        if found[1] and found[1] not in OPTIONS:
            raise ConstraintInvalid(
                f"'{param}' uses the rule option '{_brief(found[1])}'; accepted are {', '.join(sorted(OPTIONS))}",
                param=param,
            )


def _brief(text: str, most: int = 40) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
