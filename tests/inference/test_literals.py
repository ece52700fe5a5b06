"""Values that a model writes outside of JSON, also those that nobody should write, become JSON."""

import ast
import json
import warnings

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bodhi_asgi.engine.families.table import GENERIC, ROWS
from bodhi_asgi.engine.families.types import Family, PythonCalls
from bodhi_asgi.inference.literals import json_of_python, json_of_word
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.answers import Delta, FinishReason

DEEP = "[" * 5_000
FAMILIES = {f"{row.family.name}-{number}": row.family for number, row in enumerate(ROWS)} | {"generic": GENERIC}
SCHEMAS = {"add": {"type": "object", "properties": {"a": {"type": "integer"}}}}
STRANGE = (
    "<tool_call>{" + DEEP + "]" * 5_000 + ":1}",
    '<tool_call>{"name":' + DEEP + "]" * 5_000 + "}",
    '<tool_call>{"name":"add","arguments":' + DEEP,
    "{" * 5_000,
    "[add(a=" + DEEP,
    "[add(a=" + "-" * 5_000 + "1)]",
    "[add(a='\\ud800')]",
)


def strict(text: str) -> object:
    def refuse(word: str) -> None:
        raise ValueError(word)

    text.encode()
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'Paris'", "Paris"),
        ("True", True),
        ("None", None),
        ("{'a': (1, 2.5)}", {"a": [1, 2.5]}),
        ("true", True),
        ("Paris", "Paris"),
        ("[NaN]", "[NaN]"),
        ("1e999", "1e999"),
        ("'\\ud800'", "\ud800"),
        ('"ä"', "ä"),
        ("{3, 1, 3, 2}", [3, 1, 2]),
        ("set()", []),
        ("(1, 2)", [1, 2]),
        ("(1)", 1),
        ("(1,)", [1]),
        ("1, 2", [1, 2]),
        ("{1: 'a', None: ()}", {"1": "a", "null": []}),
        ("[0x1F, 0o17, 0b11, 1_000, -0x10, + 5]", [31, 15, 3, 1000, -16, 5]),
        ("[.5, 1., -2.5e-3, 1_0.0_1, 1e5]", [0.5, 1.0, -0.0025, 10.01, 100000.0]),
        ("'a' \"b\" r'\\d'", "ab\\d"),
        (r"'\0\101\U0001f600\N{BULLET}'", "\0A\U0001f600\u2022"),
        ("'''it's'''", "it's"),
        ('"""say "hi" twice"""', 'say "hi" twice'),
        ("[1, # one's\n 2]", [1, 2]),
        ("[\"a\", true, 'b', null]", ["a", True, "b", None]),
        ('"a\\/b"', "a\\/b"),
        (DEEP, DEEP),
        (DEEP + "0x1", DEEP + "0x1"),
        *(
            (text, text)
            for text in ("b'x'", "1j", "010", "--5", "[1 2]", "{'a': 1 'b': 2}", "{'a': 1, 2}", "{(1, 2): 3}")
        ),
        *(
            (text, text)
            for text in ("{[1]}", "{1 2}", "'''", "'\\x4'", "'\\N{nothing such}'", "...", "-True", "9" * 5_000)
        ),
        *((text, text) for text in ("", "set(", "[0x]", "(1", "{0x1: 1")),
        ("-" * 5_000, "-" * 5_000),
    ],
)
def test_a_python_literal_is_json_and_anything_else_a_string(written: str, meant: object) -> None:
    assert strict(json_of_python(written)) == meant


WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_characters="\0"))
LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=20,
)


KEYS = st.integers() | WORDS | st.none() | st.booleans()
PYTHON = st.recursive(
    LITERALS,
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.sets(st.integers() | WORDS) | st.dictionaries(KEYS, inner)
    ),
    max_leaves=8,
)
PIECES = st.lists(
    st.sampled_from(
        [*"[](){},:+-'\"\\ \n#.0178eExabr_N", "'''", '"""', "True", "None", "set", "0x", "\\N{BULLET}", "\\u00e9"]
    )
).map("".join)


@given(LITERALS)
@example(["it's", 'say "hi"', "both ' and \"", "\\d+/\\/", "\x00\x07\x0b\x7f\t\n\r", "\\N{BULLET}", "True,]", "\ud800"])
def test_what_python_writes_of_json_is_read(value: object) -> None:
    assert strict(json_of_python(repr(value))) == value


@settings(max_examples=30)
@given(PYTHON)
def test_what_python_writes_of_anything_is_what_json_has_for_it(value: object) -> None:
    assert strict(json_of_python(repr(value))) == strict(json.dumps(value, default=lambda found: list_of(repr(found))))


def list_of(written: str) -> list[object]:
    """A set, in the order in which it is written."""
    return [] if written == "set()" else ast.literal_eval(f"[{written[1:-1]}]")  # type: ignore[no-any-return]


@given(PIECES)
@example("{1, True, 1.0}")
@example("'''a\\\\'''")
def test_what_python_reads_is_read_alike_and_without_a_warning(written: str) -> None:
    found = strict(json_of_python(written))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        try:
            value = ast.literal_eval(written)
            expected = json.loads(json.dumps(value, default=list, allow_nan=False))
        except (ValueError, TypeError, SyntaxError):
            return
    if not holds_a_set(value):
        assert found == expected


def holds_a_set(value: object) -> bool:
    if isinstance(value, dict):
        return any(map(holds_a_set, value.values()))
    return isinstance(value, set) or (isinstance(value, list | tuple) and any(map(holds_a_set, value)))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            r"""'it\'s \"\/\d \v\a \x41 ö \
.'""",
            "it's \"\\/\\d \v\a A ö .",
        ),
        ("[1, 2,]", [1, 2]),
        ("{'a': True, 'b': None, }", {"a": True, "b": None}),
        ("'a\tb'", "a\tb"),
        ("[true]", [True]),
        (r"'\ud800'", "\ud800"),
    ],
)
def test_what_python_and_json_write_differently_is_told_apart(written: str, meant: object) -> None:
    assert strict(json_of_python(f"[{written}, 'x']")) == [meant, "x"]


PYTHONIC = {name: family for name, family in FAMILIES.items() if isinstance(family.tools.form, PythonCalls)}


@pytest.mark.parametrize("family", PYTHONIC.values(), ids=PYTHONIC)
@settings(max_examples=10)
@given(value=PYTHON, after=WORDS)
@example({"code": "print('it\\'s', [1, (2,)]) # )]", "of": (1, {2}, ")", "#")}, "'),")
def test_arguments_in_python_are_the_same_wherever_their_text_is_split(
    family: Family, value: object, after: str
) -> None:
    opening = family.tools.open.strip() or "["
    opening += "" if opening.endswith("[") else "["
    text = f"{opening}add(a={value!r}, b={after!r})]"
    whole = SpeechReader(family, SCHEMAS).read(Delta(text=text, finish=FinishReason.STOP))
    (call,) = whole.tool_calls
    assert strict(call.arguments) == {"a": strict(json_of_python(repr(value))), "b": after}
    for size in (1, 3):
        reader = SpeechReader(family, SCHEMAS)
        places = range(0, len(text), size)
        read = [reader.read(Delta(text=text[place : place + size])) for place in places]
        read.append(reader.read(Delta(finish=FinishReason.STOP)))
        assert "".join(piece.arguments for one in read for piece in one.tool_calls) == call.arguments


@pytest.mark.parametrize("family", PYTHONIC.values(), ids=PYTHONIC)
def test_strings_in_three_quotes_and_remarks_end_where_python_ends_them(family: Family) -> None:
    opening = family.tools.open.strip() or "["
    opening += "" if opening.endswith("[") else "["
    text = f"""{opening}add(a='''it's, "so" \\''' )''', b=[1, # it's 2)\n 0x10], c='', d=r'\\\\')]"""
    for split in range(len(text)):
        reader = SpeechReader(family, SCHEMAS)
        read = [reader.read(Delta(text=part)) for part in (text[:split], text[split:])]
        read.append(reader.read(Delta(finish=FinishReason.STOP)))
        arguments = "".join(piece.arguments for one in read for piece in one.tool_calls)
        assert strict(arguments) == {"a": "it's, \"so\" ''' )", "b": [1, 16], "c": "", "d": "\\\\"}, text[:split]


@pytest.mark.parametrize(
    ("written", "kinds", "meant"),
    [
        ("5", {"integer"}, 5),
        ("5", {"string"}, "5"),
        ("5", set(), 5),
        ("[NaN]", set(), "[NaN]"),
        ("-Infinity", {"number"}, "-Infinity"),
        ("[1e999]", {"array"}, "[1e999]"),
        ("True", {"boolean"}, True),
        ("True", {"string", "null"}, "True"),
        (DEEP, set(), DEEP),
    ],
)
def test_a_bare_word_is_what_its_schema_says(written: str, kinds: set[str], meant: object) -> None:
    assert strict(json_of_word(written, kinds)) == meant


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_no_answer_is_too_strange_to_read(family: Family) -> None:
    form = family.tools.form
    openings = ("", family.tools.open, getattr(form, "open", ""))
    for text in (opening + strange for opening in openings for strange in STRANGE):
        read = SpeechReader(family, SCHEMAS).read(Delta(text=text, finish=FinishReason.STOP))
        for piece in (read.text, read.reasoning, *(call.arguments for call in read.tool_calls)):
            piece.encode()
