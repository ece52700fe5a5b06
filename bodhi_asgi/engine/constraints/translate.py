"""From a neutral constraint to a grammar for llguidance, checked on the way.

A grammar is a list: the first says how the whole answer reads, the others are named in it. So the same answer can stand
alone, after a model's thinking, or as the arguments of a call.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from llguidance import regex_to_lark

from bodhi_asgi.engine.constraints.grammar import checked_lark, lark_of_choice, lark_of_gbnf
from bodhi_asgi.engine.constraints.pattern import MAX_REGEX_CHARS, check_pattern
from bodhi_asgi.engine.constraints.schema import guided, load_schema
from bodhi_asgi.engine.errors import ConstraintInvalid
from bodhi_asgi.messages.generation import Constraint, ConstraintKind

ANSWER: Final = "answer"


@dataclass(frozen=True, slots=True)
class Grammar:
    """What to compile, as llguidance reads it; ``param`` is the field of the request that it came from."""

    text: str
    param: str


def grammar_of(constraint: Constraint, preamble: str | None = None) -> Grammar:
    """The grammar of an answer. Raises ConstraintInvalid.

    ``preamble`` is Lark of our own that defines the rule ``preamble``: what may stand before the answer, such as a
    model's thinking.
    """
    body = body_of(constraint)
    if preamble is None:
        grammars = [body]
    else:
        grammars = [{"lark_grammar": f"start: preamble @{ANSWER}\n{preamble}\n"}, {"name": ANSWER, **body}]
    return Grammar(json.dumps({"grammars": grammars}), constraint.param)


def body_of(constraint: Constraint) -> dict[str, Any]:
    source, param = constraint.source, constraint.param
    match constraint.kind:
        case ConstraintKind.JSON_OBJECT:
            return {"json_schema": guided({"type": "object"})}
        case ConstraintKind.JSON_SCHEMA:
            return {"json_schema": guided(load_schema(source, param))}
        case ConstraintKind.REGEX:
            if not source:
                raise ConstraintInvalid(f"'{param}' is empty, which would allow no answer; leave it out", param=param)
            check_pattern(source, f"'{param}'", param, max_chars=MAX_REGEX_CHARS)
            return {"lark_grammar": f"start: /{regex_to_lark(source)}/"}
        case ConstraintKind.CHOICE:
            return {"lark_grammar": lark_of_choice(source, param)}
        case ConstraintKind.LARK:
            return {"lark_grammar": checked_lark(source, param)}
        case ConstraintKind.GBNF:
            return {"lark_grammar": lark_of_gbnf(source, param)}
