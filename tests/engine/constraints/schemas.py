"""Random JSON schemas, of everything that is enforced and small enough for a model without sense to finish."""

from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
PATTERNS = ("^[a-f]{2,4}$", "^x+y?$", r"^\d{3}-\d$", "^(ab|c)*$")
NAMES = st.text("abcdefgh_", min_size=1, max_size=4)
WORDS = st.text('abcxyz "\\é😀/', max_size=5)


@st.composite
def strings(draw: st.DrawFn) -> Schema:
    kind = draw(st.sampled_from(["length", "pattern", "format", "both"]))
    if kind == "pattern":
        return {
            "type": "string",
            "pattern": draw(st.sampled_from(PATTERNS)),
            "maxLength": 9,
        }
    if kind == "format":
        return {"type": "string", "format": draw(st.sampled_from(["date", "ipv4", "uuid"]))}
    least = draw(st.integers(0, 4))
    return {"type": "string", "minLength": least, "maxLength": least + draw(st.integers(0, 6))}


@st.composite
def numbers(draw: st.DrawFn) -> Schema:
    least = draw(st.integers(-50, 50))
    kind = draw(st.sampled_from(["integer", "number"]))
    bounds = {"minimum": least, "maximum": least + draw(st.integers(2, 60))}
    if draw(st.booleans()):
        bounds = {"exclusiveMinimum": bounds["minimum"], "exclusiveMaximum": bounds["maximum"]}
    if kind == "integer" and draw(st.booleans()):
        bounds = {"minimum": 0, "maximum": 100, "multipleOf": draw(st.sampled_from([2, 5, 7]))}
    return {"type": kind, **bounds}


def enumerations() -> st.SearchStrategy[Schema]:
    values = st.one_of(st.none(), st.booleans(), st.integers(-9, 99), WORDS)
    return st.one_of(
        st.lists(values, min_size=1, max_size=4).map(lambda items: {"enum": items}),
        values.map(lambda value: {"const": value}),
    )


def leaves() -> st.SearchStrategy[Schema]:
    plain = st.sampled_from([{"type": "boolean"}, {"type": "null"}])
    return st.one_of(strings(), numbers(), enumerations(), plain)


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    properties = draw(st.dictionaries(NAMES, inner, max_size=4))
    required = draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set()
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(required),
        "additionalProperties": False,
    }


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    if draw(st.booleans()):
        return {"type": "array", "prefixItems": [draw(inner), draw(inner)], "items": False, "minItems": 2}
    least = draw(st.integers(0, 2))
    return {"type": "array", "items": draw(inner), "minItems": least, "maxItems": least + 2}


def compound(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.one_of(
        objects(inner),
        arrays(inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    )


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """A schema of an object, some of its parts kept under ``$defs``."""
    inner = st.recursive(leaves(), compound, max_leaves=6)
    root = draw(objects(inner))
    root["$defs"] = {"shared": draw(leaves()), "pair": draw(arrays(leaves()))}
    for name, target in (("s", "shared"), ("p", "pair")):
        if draw(st.booleans()):
            root["properties"][name] = {"$ref": f"#/$defs/{target}"}
            root["required"] = [*root["required"], name]
    if draw(st.booleans()):
        root["allOf"] = [{"properties": {"z": {"type": "integer", "minimum": 3, "maximum": 12}}, "required": ["z"]}]
        root["properties"]["z"] = True
    return root
