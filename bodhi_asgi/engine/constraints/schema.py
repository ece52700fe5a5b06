"""Limits of JSON schemas that come from clients, and the keywords that are enforced, before anything is compiled.

A keyword that cannot be enforced is refused by its name and place, never dropped. The numbers keep compiling within
milliseconds: what makes it slow is the meeting of alternatives, of patterns and of divisors.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from bodhi_asgi.engine.constraints.pattern import MAX_COUNT, check_pattern
from bodhi_asgi.engine.errors import ConstraintInvalid
from bodhi_asgi.strict_json import JSONInvalid, load_object

MAX_SCHEMA_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_NODES: Final = 4096
MAX_PROPERTIES: Final = 512
MAX_PATTERN_PROPERTIES: Final = 32
MAX_ENUM: Final = 1000
MAX_DIVISOR: Final = 10_000
"""The largest common multiple of all ``multipleOf``, counted in units of their last decimal place."""
MAX_MEETINGS: Final = 256
"""How many schemas may be the meeting of others: ``allOf``, or alternatives and references beside other keywords."""
MAX_MEETING_PATTERNS: Final = 8
"""How many patterns may come together in one meeting."""
MAX_ALTERNATIVES: Final = 256
"""How many alternatives one meeting may come to, each of one side with each of the others."""
MAX_REFERENCES: Final = 64
"""How many references and alternatives may stand within one another there."""
MAX_JSON_DEPTH: Final = 80

ONE: Final = frozenset({"items", "additionalItems", "additionalProperties"})
LISTS: Final = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
MAPS: Final = frozenset({"properties", "patternProperties", "$defs", "definitions"})
COUNTS: Final = frozenset({"minItems", "maxItems", "minProperties", "maxProperties", "minLength", "maxLength"})
PLAIN: Final = frozenset(
    {"type", "enum", "const", "required", "pattern", "format", "$ref"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
)
ENFORCED: Final = ONE | LISTS | MAPS | COUNTS | PLAIN
ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "id", "$anchor", "$comment", "title", "description", "default", "example", "examples"}
    | {"readOnly", "writeOnly", "deprecated", "discriminator", "contentMediaType", "contentEncoding"}
)
"""Keywords that say nothing about what is valid. So do all that begin with ``x-``, one excepted."""

GUIDANCE: Final = "x-guidance"
WHITESPACE: Final = r" |\r?\n[ \t]{0,128}"
"""Between the parts of JSON: nothing, a space, or a new line and its indentation. A model that likes blanks could go on
with them for ever, which JSON allows."""

Schema = dict[str, Any]


def load_schema(text: str, param: str) -> Schema:
    """The schema in ``text``. Raises ConstraintInvalid naming the keyword or the limit, and where it is."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_SCHEMA_BYTES:
        raise ConstraintInvalid(
            f"'{param}' has {len(data)} bytes; at most {MAX_SCHEMA_BYTES} are accepted for a schema", param=param
        )
    try:
        schema = load_object(data, max_depth=MAX_JSON_DEPTH)
    except JSONInvalid as error:
        reason = error.message.replace("the body", "it", 1)
        raise ConstraintInvalid(f"'{param}' is not a JSON schema: {reason}", param=param) from None
    _Inspection(schema, param).run()
    return schema


def guided(schema: Schema) -> Schema:
    """The schema with our own directions for llguidance."""
    return {**schema, GUIDANCE: {"whitespace_pattern": WHITESPACE, "lenient": False, "coerce_one_of": False}}


@dataclass(frozen=True, slots=True)
class _Node:
    """A subschema, how deep it is nested, and the path to it."""

    schema: Schema
    depth: int
    path: str


@dataclass(slots=True)
class _Inspection:
    """One walk over a schema."""

    root: Schema
    param: str
    nodes: int = 0
    divisors: set[int] = field(default_factory=set)
    patterns: int = 0
    meetings: list[_Node] = field(default_factory=list)
    alternatives: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        waiting = [_Node(self.root, 1, "")]
        while waiting:
            node = waiting.pop()
            self.nodes += 1
            if self.nodes > MAX_NODES:
                self._refuse(f"has more than {MAX_NODES} subschemas", _Node(self.root, 1, ""))
            if node.depth > MAX_DEPTH:
                self._refuse(f"is nested deeper than {MAX_DEPTH} subschemas", node)
            self._check(node)
            waiting += self._inside(node)
        if math.lcm(*self.divisors) > MAX_DIVISOR:
            self._refuse(f"has values of 'multipleOf' with a common multiple above {MAX_DIVISOR}", _Node({}, 1, ""))
        if len(self.meetings) > MAX_MEETINGS:
            self._refuse(f"combines more than {MAX_MEETINGS} schemas with others", _Node({}, 1, ""))
        for node in self.meetings:
            if self._alternatives(node.schema, 0) > MAX_ALTERNATIVES:
                self._refuse(f"comes to more than {MAX_ALTERNATIVES} alternatives when its parts are combined", node)
            if self.patterns > MAX_MEETING_PATTERNS:
                self._check_patterns(node)

    def _check(self, node: _Node) -> None:
        schema = node.schema
        for name, value in schema.items():
            if name not in ENFORCED and name not in ANNOTATIONS and (name == GUIDANCE or not name.startswith("x-")):
                if name == "uniqueItems" and value is False:
                    continue
                self._refuse(f"uses the keyword '{name}', which is not supported", node)
            if name in COUNTS and isinstance(value, int | float) and value > MAX_COUNT:
                self._refuse(f"has '{name}' {value}; at most {MAX_COUNT} is accepted", node)
        self._check_size(node, "enum", MAX_ENUM)
        self._check_size(node, "required", MAX_PROPERTIES)
        self._check_size(node, "properties", MAX_PROPERTIES)
        self._check_size(node, "patternProperties", MAX_PATTERN_PROPERTIES)
        patterns = [schema["pattern"]] if isinstance(schema.get("pattern"), str) else []
        patterns += schema["patternProperties"] if isinstance(schema.get("patternProperties"), dict) else []
        for pattern in patterns:
            check_pattern(pattern, f"a pattern of {self._place(node)}", self.param)
        self.patterns += len(patterns)
        self._check_reference(node)
        self._count_divisor(node)
        if _is_meeting(schema):
            self.meetings.append(node)

    def _check_size(self, node: _Node, name: str, most: int) -> None:
        value = node.schema.get(name)
        if isinstance(value, dict | list) and len(value) > most:
            self._refuse(f"has {len(value)} items in '{name}'; at most {most} are accepted", node)

    def _check_reference(self, node: _Node) -> None:
        reference = node.schema.get("$ref")
        if isinstance(reference, str) and not (reference == "#" or reference.startswith("#/")):
            self._refuse(f"refers to '{reference[:60]}'; only references into itself ('#/...') are followed", node)

    def _count_divisor(self, node: _Node) -> None:
        value = node.schema.get("multipleOf")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if value <= 0:
                self._refuse(f"has 'multipleOf' {value}; it has to be above 0", node)
            digits = Decimal(repr(value)).as_tuple().digits
            if len(digits) > len(str(MAX_DIVISOR)):
                self._refuse(f"has 'multipleOf' {value}, which has too many digits", node)
            self.divisors.add(int("".join(map(str, digits)).rstrip("0") or "1"))

    def _alternatives(self, schema: object, depth: int) -> int:
        """How many alternatives a schema is, or more than are accepted."""
        if not isinstance(schema, dict):
            return 1
        if depth > MAX_REFERENCES:
            return MAX_ALTERNATIVES + 1
        known = self.alternatives.get(id(schema))
        if known is not None:
            return known
        count = 1
        for name in ("anyOf", "oneOf"):
            if isinstance(choices := schema.get(name), list):
                count *= max(1, sum(self._alternatives(choice, depth + 1) for choice in choices))
        if isinstance(parts := schema.get("allOf"), list):
            for part in parts:
                count = min(count * self._alternatives(part, depth + 1), MAX_ALTERNATIVES + 1)
        count *= self._alternatives(self._resolve(schema.get("$ref")), depth + 1)
        self.alternatives[id(schema)] = min(count, MAX_ALTERNATIVES + 1)
        return self.alternatives[id(schema)]

    def _check_patterns(self, node: _Node) -> None:
        """Count the patterns that may meet: all that can be reached from here."""
        seen: set[int] = set()
        waiting = [node]
        found = 0
        while waiting:
            schema = waiting.pop()
            if id(schema.schema) in seen:
                continue
            seen.add(id(schema.schema))
            found += "pattern" in schema.schema
            if found > MAX_MEETING_PATTERNS:
                self._refuse(f"lets more than {MAX_MEETING_PATTERNS} patterns meet in combined schemas", node)
            waiting += self._inside(schema)
            target = self._resolve(schema.schema.get("$ref"))
            if target is not None:
                waiting.append(_Node(target, 1, ""))

    def _inside(self, node: _Node) -> Iterator[_Node]:
        """The subschemas of a schema. What is no schema is left for llguidance to complain of."""
        for name, value in node.schema.items():
            inner: list[tuple[str, Any]] = []
            if name in ONE:
                inner = [(name, value)]
            elif name in LISTS and isinstance(value, list):
                inner = [(f"{name}.{index}", item) for index, item in enumerate(value)]
            elif name in MAPS and isinstance(value, dict):
                inner = [(f"{name}.{key}", item) for key, item in value.items()]
            for step, schema in inner:
                if isinstance(schema, dict):
                    path = f"{node.path}.{step}" if node.path else step
                    yield _Node(schema, node.depth + 1, path)

    def _resolve(self, reference: object) -> Schema | None:
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: Any = self.root
        for step in reference.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            elif isinstance(found, dict):
                found = found.get(name)
            else:
                return None
        return found if isinstance(found, dict) else None

    def _place(self, node: _Node) -> str:
        return f"'{node.path[:200]}' in '{self.param}'" if node.path else f"'{self.param}'"

    def _refuse(self, what: str, node: _Node) -> None:
        raise ConstraintInvalid(f"{self._place(node)} {what}", param=self.param)


def _is_meeting(schema: Schema) -> bool:
    """Whether two schemas have to hold at once here, so that compiling has to work out what both allow."""
    applied = [name for name in ("allOf", "anyOf", "oneOf", "$ref") if name in schema]
    others = any(name in ENFORCED and name not in ("$defs", "definitions") for name in schema if name not in applied)
    parts = schema.get("allOf")
    return len(applied) > 1 or (bool(applied) and others) or (isinstance(parts, list) and len(parts) > 1)
