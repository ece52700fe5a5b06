"""What a client may send to hurt: constraints that have ended, hung or fooled engines, and ours beyond its limits."""

import json
from typing import Any, Final

from bodhi_asgi.messages.generation import Constraint, ConstraintKind


def schema(value: Any) -> Constraint:
    return Constraint(ConstraintKind.JSON_SCHEMA, value if isinstance(value, str) else json.dumps(value), "guided_json")


def lark(text: str) -> Constraint:
    return Constraint(ConstraintKind.LARK, text, "guided_grammar")


def gbnf(text: str) -> Constraint:
    return Constraint(ConstraintKind.GBNF, text, "grammar")


def regex(text: str) -> Constraint:
    return Constraint(ConstraintKind.REGEX, text, "guided_regex")


def choice(value: Any) -> Constraint:
    return Constraint(ConstraintKind.CHOICE, json.dumps(value), "guided_choice")


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        inner = {"type": "object", "properties": {"a": inner}}
    return inner


def chain(rules: int, arrow: str, first: str) -> str:
    steps = "\n".join(f"a{number}{arrow} a{number + 1}" for number in range(rules))
    return f'{first}{arrow} a0\n{steps}\na{rules}{arrow} "x"'


def alternatives(groups: int, inner: dict[str, Any]) -> dict[str, Any]:
    return {"allOf": [{"anyOf": [{**inner, "minLength": number} for number in range(7)]} for _ in range(groups)]}


DOUBLING: Final = {f"a{i}": {"anyOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(30)}

REFUSED: Final[dict[str, tuple[Constraint, str]]] = {
    # schemas
    "a length of a thousand million": (schema({"type": "string", "minLength": 10**9}), "minLength.*2000"),
    "a length beyond any number": (schema({"type": "string", "maxLength": 1e300}), "maxLength.*2000"),
    "items beyond the limit": (schema({"type": "array", "minItems": 2001}), "minItems.*2000"),
    "a schema of 70,000 bytes": (schema({"description": "x" * 70_000}), "70019 bytes.*65536"),
    "a schema nested 33 deep": (schema(nested(33)), "deeper than 32"),
    "text nested 20,000 deep": (schema('{"items":' * 5000 + "{}" + "}" * 5000), "nested deeper"),
    "4,200 subschemas": (schema('{"anyOf":[' + ",".join(["{}"] * 4200) + "]}"), "4096 subschemas"),
    "513 properties": (schema({"properties": {f"p{i}": {} for i in range(513)}}), "513 items in 'properties'.*512"),
    "an enumeration of 1,001": (schema({"enum": list(range(1001))}), "1001 items in 'enum'.*1000"),
    "33 patterns of names": (schema({"patternProperties": {f"^{i}x": {} for i in range(33)}}), "33 items.*32"),
    "parts that are no list": (schema({"allOf": 5, "type": "string"}), "cannot be enforced"),
    "parts that are true": (schema({"allOf": True}), "cannot be enforced"),
    "a divisor that is true": (schema({"multipleOf": True}), "cannot be enforced"),
    "a long pattern": (schema({"pattern": "a" * 257}), "257 characters.*256"),
    "a pattern that counts to 2,001": (schema({"pattern": "a{2001}"}), "2001"),
    "a pattern that counts beyond any number": (schema({"pattern": "a{" + "9" * 200 + "}"}), "at most 2000"),
    "a pattern that counts counts": (schema({"pattern": "((a{2000}){2000}){2000}"}), "written out"),
    "a pattern of 65 groups": (schema({"pattern": "(" * 65 + "a" + ")" * 65}), "deeper than 64"),
    "a pattern with look-ahead": (schema({"type": "string", "pattern": "(?=a)b"}), "look-around"),
    "an unfinished pattern": (schema({"type": "string", "pattern": "("}), "unclosed group"),
    "a remote reference": (schema({"$ref": "http://127.0.0.1:1/s.json"}), "only references into itself"),
    "a reference to a file": (schema({"$ref": "file:///etc/passwd"}), "only references into itself"),
    "a reference to nothing": (schema({"$ref": "#/$defs/none"}), "cannot be enforced"),
    "a reference to itself": (schema({"$ref": "#"}), "cannot be enforced"),
    "a schema that turns checks off": (schema({"x-guidance": {"lenient": True}, "type": "object"}), "x-guidance"),
    "a schema that is no object": (schema("[]"), "a JSON object is expected"),
    "not a number": (schema('{"minimum": NaN}'), "NaN"),
    "a key that stands twice": (schema('{"type": "string", "type": "integer"}'), "stands twice"),
    "an unknown type": (schema({"type": "text"}), "text"),
    "an unknown format": (schema({"type": "string", "format": "colour"}), "colour"),
    "a misspelled keyword": (schema({"type": "object", "requried": ["a"]}), "'requried'"),
    "an impossible range": (schema({"type": "integer", "minimum": 5, "maximum": 3}), "cannot be enforced"),
    "an impossible property": (schema({"properties": {"a": False}, "required": ["a"], "type": "object"}), "'a'"),
    "no alternative": (schema({"anyOf": []}), "cannot be enforced"),
    "no member": (schema({"enum": []}), "cannot be enforced"),
    "a divisor of seven digits": (schema({"type": "integer", "multipleOf": 1_000_003}), "multipleOf"),
    "divisors with a large multiple": (
        schema({"properties": {"a": {"multipleOf": 7919}, "b": {"multipleOf": 7927}}}),
        "common multiple",
    ),
    "a divisor below nothing": (schema({"type": "integer", "multipleOf": -1}), "above 0"),
    "20 patterns at once": (
        schema({"allOf": [{"type": "string", "pattern": f"[a-z]*{chr(97 + i)}.{{{i},100}}$"} for i in range(20)]}),
        "8 patterns",
    ),
    "2,401 combinations": (schema(alternatives(4, {"type": "string", "format": "email"})), "256 alternatives"),
    "references that double 30 times": (
        schema({"allOf": [{"$ref": "#/$defs/a0"}, {"type": "object"}], "$defs": {**DOUBLING, "a30": {}}}),
        "256 alternatives",
    ),
    "257 combined schemas": (
        schema({"prefixItems": [{"$ref": "#/$defs/a", "type": "string"}] * 257, "$defs": {"a": {}}}),
        "more than 256",
    ),
    # Lark
    "an empty grammar": (lark(" \n"), "empty"),
    "no start": (lark('a: "x"'), "no start rule"),
    "an undefined rule": (lark("start: foo"), "foo"),
    "NUL": (lark('start: "a\0"'), "cannot be enforced"),
    "only recursion": (lark("start: a\na: b\nb: a"), "no text satisfies it"),
    "a grammar of 17,000 bytes": (lark('start: "' + "a" * 17_000 + '"'), "bytes.*16384"),
    "a thousand million repetitions": (lark('start: "a"{1000000000}'), "2000"),
    "2,001 repetitions": (lark('start: "a"~1..2001'), "2001"),
    "8,000 parentheses": (lark("start: " + "(" * 8000 + '"a"' + ")" * 8000), "deeper than 64"),
    "1,100 rules": (lark(chain(1100, ":", "start")), "1000 rules"),
    "a control token": (lark("start: <|im_end|>"), "names the token"),
    "any token": (lark("start: <[*]>+"), "names the token"),
    "another grammar": (lark("start: @other"), "@other"),
    "options": (lark('%llguidance {"no_forcing": true}\nstart: "a"'), "only {} is accepted"),
    "an unknown directive": (lark('%lark {}\nstart: "a"'), "%lark"),
    "an import of anything": (lark('%import os.system\nstart: "a"'), "cannot be enforced"),
    "a rule that takes back": (lark('start: a "b"\na[stop="x"]: /.*/'), "'stop'"),
    "a rule with a temperature": (lark("start: a\na[lazy, temperature=0.5]: /.*/"), "'temperature'"),
    "an unclosed string": (lark('start: "abc'), "does not close"),
    "an unclosed expression": (lark("start: " + "/\\" * 8000), "does not close"),
    "a long expression": (lark("start: /" + "a" * 1025 + "/"), "does not close it, or"),
    "an inner schema": (lark('start: %json {"type": "object", "not": {}}'), "'not'"),
    "an inner schema beyond a limit": (lark('start: %json {"minLength": 3000}'), "3000.*2000"),
    "an inner schema that is none": (lark("start: %json {"), "no valid JSON"),
    # GBNF
    "unparsable GBNF": (gbnf("root ::= ("), "not a GBNF grammar"),
    "GBNF without a root": (gbnf('a ::= "x"'), "root"),
    "GBNF with an undefined rule": (gbnf("root ::= foo"), "foo"),
    "GBNF with NUL": (gbnf('root ::= "a\0"'), "cannot be enforced"),
    "GBNF that counts": (gbnf('root ::= "a"{1000000000}'), "2000"),
    "GBNF that counts counts": (gbnf('root ::= ("a"{2000}){2000}'), "cannot be enforced"),
    "GBNF of 8,000 parentheses": (gbnf("root ::= " + "(" * 8000 + '"a"' + ")" * 8000), "deeper than 64"),
    "GBNF of 1,100 rules": (gbnf(chain(1100, " ::=", "root")), "1000 rules"),
    "the 25 bytes that hang": (gbnf('root ::= (([a-z]+)+)+ "!"'), "cannot be enforced"),
    "empty GBNF": (gbnf(""), "empty"),
    "an unclosed class": (gbnf("root ::= [" + "\\]" * 8000), "does not close"),
    "rules that differ in case": (gbnf('root ::= Foo foo\nFoo ::= "a"\nfoo ::= "b"'), "already exists"),
    # expressions and choices
    "an empty expression": (regex(""), "empty"),
    "an expression of 1,025 characters": (regex("a" * 1025), "1025 characters.*1024"),
    "an expression that counts": (regex("a{1000000000}"), "2000"),
    "an expression with a back-reference": (regex(r"(a)\1"), "backreferences"),
    "no choice": (choice([]), "none is empty"),
    "an empty choice": (choice(["a", ""]), "none is empty"),
    "a choice that is no text": (choice([1]), "none is empty"),
    "1,001 choices": (choice([f"c{i}" for i in range(1001)]), "1001 choices.*1000"),
}
"""What is refused before or while it is compiled, with words that the refusal has."""

UNSUPPORTED_KEYWORDS: Final = (
    *("not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "contains", "minContains"),
    *("maxContains", "propertyNames", "unevaluatedItems", "unevaluatedProperties", "$dynamicRef", "$recursiveRef"),
    *("contentSchema", "nullable", "divisibleBy", "extends", "foo"),
)

HARD: Final[dict[str, Constraint]] = {
    "512 optional properties": schema(
        {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(512)}}
    ),
    "an enumeration of 1,000": schema({"enum": [f"v{i}" * 3 for i in range(1000)]}),
    "31 levels": schema(nested(31)),
    "3,000 optional items": schema({"type": "array", "prefixItems": [{"type": "integer"}] * 3000}),
    "arrays of 2,000 arrays of 2,000": schema(
        {"type": "array", "minItems": 2000, "items": {"type": "array", "minItems": 2000}}
    ),
    "a pattern with nested repetition": schema({"type": "string", "pattern": "^(([a-z]+)+)+!$"}),
    "18 ambiguous options in a pattern": schema({"type": "string", "pattern": "^" + "([a-z]|[a-c])?" * 18 + "$"}),
    "125 combinations": schema(alternatives(2, {"type": "string", "format": "uri"})),
    "a range of floats": schema({"type": "number", "exclusiveMinimum": -1.5e9, "maximum": 9.87, "multipleOf": 0.01}),
    "a prime divisor": schema({"type": "integer", "multipleOf": 9973}),
    "60 ambiguous options": regex("([a-z]|[a-c])?" * 60),
    "a look back of 500": regex("(.*[a-m].{500}){20}"),
    "left recursion": lark('start: start "a" | "b"'),
    "right recursion": lark("start: a\na: /[a-z]/ a | /[a-z]/"),
    "a nothing that repeats": lark('start: ("")*'),
    "a doubled rule, 60 times": lark(
        "start: a0\n" + "\n".join(f"a{i}: a{i + 1}? a{i + 1}?" for i in range(60)) + '\na60: "x"'
    ),
    "a chain of 990 rules": lark(chain(990, ":", "start")),
    "what is in twenty ways not": lark(
        "start: A\nA: " + " & ".join(f"~/[a-z]*{chr(97 + i)}.{{{i},100}}/" for i in range(20))
    ),
    "GBNF with left recursion": gbnf('root ::= root "a" | "b"'),
    "16 ambiguous options in GBNF": gbnf("root ::= " + "([a-z] | [a-c])? " * 16),
    "50 options in GBNF": gbnf("root ::= " + "[a-z]? " * 50),
    "a chain of 990 rules in GBNF": gbnf(chain(990, " ::=", "root")),
    "1,000 choices": choice([f"c{i}" for i in range(1000)]),
}
"""What looks as bad and is accepted: it has to be compiled in time and followed."""
