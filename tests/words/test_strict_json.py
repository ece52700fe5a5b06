"""The strict reader agrees with the standard library on what is in order, and says what and where on all else."""

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bodhi_asgi.errors import STATUS, Kind
from bodhi_asgi.strict_json import MAX_CONTAINERS, MAX_DEPTH, MAX_KEYS, MAX_VALUES, JSONInvalid, load_object

TEXT = st.text(st.characters(codec="utf-8"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=20)
OBJECTS = st.dictionaries(TEXT, VALUES)


def refused(body: bytes, **options: Any) -> JSONInvalid:
    with pytest.raises(JSONInvalid) as caught:
        load_object(body, **options)
    assert STATUS[caught.value.kind] == STATUS[Kind.INVALID] == 400
    assert "\n" not in caught.value.message
    return caught.value


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    """An object of ``depth`` levels, itself included."""
    return f'{{"a":{opening * (depth - 1)}{closing * (depth - 1)}}}'.encode()


@given(OBJECTS, st.booleans(), st.sampled_from([None, 0, 2]))
def test_what_is_in_order_is_read_as_everybody_reads_it(value: dict[str, Any], ascii_only: bool, indent: int) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    read = load_object(body)
    assert read == value
    assert repr(read) == repr(json.loads(body))  # 1 and 1.0 and True are equal, and not the same


@given(st.binary())
@example(b'{"a":1}\x00')
@example(b'{"\xff":1}')
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = load_object(body)
    except JSONInvalid:
        return
    assert value == json.loads(body)


@given(st.text('{}[]:,"\\u0d8e1-.9 tfn', max_size=40))
def test_nothing_is_read_that_the_standard_library_does_not_read(text: str) -> None:
    try:
        value = load_object(text.encode())
    except JSONInvalid:
        return
    assert value == json.loads(text)


@given(OBJECTS, TEXT, VALUES)
def test_a_key_that_stands_twice_is_found_wherever_it_is(value: dict[str, Any], key: str, other: Any) -> None:
    name, thing = json.dumps(key), json.dumps(other)
    twice = f"{{{name}:{thing},{name}:{thing}}}"
    for body in (twice, f'{{"x":[{json.dumps(value)},{twice}]}}'):
        assert "stands twice in one object" in refused(body.encode()).message


@pytest.mark.parametrize(
    ("body", "told", "param"),
    [
        (b"", "the body is empty", None),
        (b" \n\t ", "the body is empty", None),
        (b"\xef\xbb\xbf{}", "byte order mark", None),
        ('{"a":1}'.encode("utf-16"), "not UTF-8: byte 0", None),
        ('{"a":1}'.encode("utf-16-le"), "not JSON", None),
        (b'{"a":"\xff"}', "not UTF-8: byte 6", None),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8: byte 6", None),
        (b"[]", "the body is a list; a JSON object is expected", None),
        (b'"a"', "the body is a string", None),
        (b"null", "the body is null", None),
        (b"true", "the body is true or false", None),
        (b"7", "the body is a number", None),
        (b"NaN", "NaN is not a JSON number, at line 1, column 1", None),
        (b"{", "line 1, column 2", None),
        (b'{"a":1,}', "not JSON", None),
        (b"{'a':1}", "not JSON", None),
        (b'{"a":1} x', "not JSON: extra data at line 1, column 9", None),
        (b'{"a":1}{"a":1}', "extra data", None),
        (b'{"a":01}', "not JSON", None),
        (b'{"a":.5}', "not JSON", None),
        (b'{"a":"\n"}', "not JSON", None),
        (b'{"a":"\\x"}', "not JSON", None),
        (b'{"a":tru}', "not JSON", None),
        (b'{"a":1 // b\n}', "not JSON", None),
        (b'\n{"a":\n NaN}', "NaN is not a JSON number, at line 3, column 2", "a"),
        (b'{"a":[0,Infinity]}', "Infinity is not a JSON number, at line 1, column 9", "a.1"),
        (b'{"a":{"b":-Infinity}}', "-Infinity is not a JSON number", "a.b"),
        (b'{"a":1e999}', "the number 1e999 is too large", "a"),
        (b'{"a":-1e999}', "the number -1e999 is too large", "a"),
        (b'{"a":9223372036854775808}', "the integer 9223372036854775808 does not fit 64 bits", "a"),
        (b'{"a":-9223372036854775809}', "does not fit 64 bits", "a"),
        (b'{"a":18446744073709551615}', "does not fit 64 bits", "a"),
        (b'{"a":1' + b"0" * 5000 + b"}", "does not fit 64 bits", "a"),
        (b'{"a":"\\ud800"}', "half a surrogate pair, \\ud800, stands in a string, at line 1, column 6", "a"),
        (b'{"a":"\\udc00\\ud800"}', "\\udc00", "a"),
        (b'{"b":[{"\\ud83d":1}]}', "\\ud83d", "b.0."),
        (b'{"a":1,"a":2}', "the key 'a' stands twice in one object, at line 1, column 8", "a"),
        (b'{"a":1,"\\u0061":2}', "the key 'a' stands twice", "a"),
        (b'{"m":[{"x":1},{"x":1,"y":{"x":2},"x":1}]}', "the key 'x' stands twice", "m.1.x"),
        (b'{"a":' + b"1" * 400 + b".5}", "... is too large", "a"),
    ],
)  # fmt: skip
def test_what_is_not_in_order_is_refused_with_its_place(body: bytes, told: str, param: str | None) -> None:
    error = refused(body)
    assert told in error.message
    assert error.param == param


def test_it_goes_as_deep_as_allowed_and_no_deeper() -> None:
    deep: Any = load_object(b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH)
    for _ in range(MAX_DEPTH):
        deep = deep["a"]
    assert deep == 1
    assert load_object(nested(MAX_DEPTH)) == json.loads(nested(MAX_DEPTH))
    error = refused(nested(MAX_DEPTH + 1))
    assert f"nested deeper than {MAX_DEPTH} levels, at line 1, column {MAX_DEPTH + 5}" in error.message
    assert error.param == "a" + ".0" * 7
    assert load_object(nested(3), max_depth=3) == {"a": [[]]}
    assert "deeper than 2 levels" in refused(nested(3), max_depth=2).message


def test_breadth_is_not_depth() -> None:
    many = b'{"a":[' + b",".join([b'{"b":[]}'] * 1000) + b"]}"
    assert load_object(many, max_depth=4) == json.loads(many)
    assert "deeper than 3" in refused(many, max_depth=3).message


@pytest.mark.parametrize("depth", [1_000, 100_000, 1_000_000])
def test_a_very_deep_body_is_refused_like_a_deep_one(depth: int) -> None:
    for body in (nested(depth), b'{"a":' * depth):
        message = refused(body).message
        # What there is too much of is counted before its depth is known.
        told = "nested deeper than 64 levels" if depth <= MAX_CONTAINERS else "the body has more than"
        assert told in message


def filled(item: str, count: int) -> bytes:
    return f'{{"a":[{",".join([item] * count)}]}}'.encode()


def test_bodies_as_large_as_real_ones_are_read() -> None:
    tokens = load_object(filled("1", 131_072))["a"]
    assert isinstance(tokens, list)
    assert len(tokens) == 131_072
    assert load_object(filled('"a"', 2048))["a"] == ["a"] * 2048
    assert load_object(filled("[1,2,3]", 2048))["a"] == [[1, 2, 3]] * 2048
    assert load_object(filled('{"role":"user","content":[{"type":"text","text":"a"}]}', 4096))


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (filled("1", MAX_VALUES + 1), f"more than {MAX_VALUES} values"),
        (filled('"a"', MAX_VALUES + 1), f"more than {MAX_VALUES} values"),
        (filled('""', 1_300_000), f"more than {MAX_VALUES + MAX_KEYS} strings"),
        (filled("[]", MAX_CONTAINERS), f"more than {MAX_CONTAINERS} lists and objects"),
        (filled("{}", MAX_CONTAINERS), f"more than {MAX_CONTAINERS} lists and objects"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(MAX_KEYS + 1)) + b"}", f"more than {MAX_KEYS} keys"),
        (b'{"a"' + b":" * 4_000_000, f"more than {MAX_KEYS} keys"),
    ],
)  # fmt: skip
def test_more_values_than_a_body_may_have_are_refused_before_any_is_made(body: bytes, told: str) -> None:
    error = refused(body)
    assert error.message == f"the body has {told}; send what it holds in several requests"


def test_what_stands_in_strings_is_not_counted() -> None:
    text = ',[]{}:\\"' * 300_000
    assert load_object(json.dumps({"a": text}).encode()) == {"a": text}


def test_a_fault_far_into_a_long_body_is_named_without_its_place() -> None:
    body = b'{"a":[' + b"1," * 60_000 + b"1e999]}"
    error = refused(body)
    assert error.message == "the number 1e999 is too large, after the first 100000 characters"
    assert error.param is None


def test_a_long_key_is_cut_in_the_refusal() -> None:
    key = "k" * 10_000
    error = refused(f'{{"{key}":1,"{key}":2}}'.encode())
    assert len(error.message) < 200
    assert error.param is not None
    assert len(error.param) == 200


@pytest.mark.parametrize(
    "number",
    ["0", "-0", "1.5", "1e5", "1E-5", "-1.5e+10", "5e-324", "1.7976931348623157e308", "9223372036854775807",
     "-9223372036854775808", "0.1234567890123456789012345", "1e-400", "123456789012345678901.5"],
)  # fmt: skip
def test_numbers_keep_their_value_and_kind(number: str) -> None:
    value = load_object(f'{{"a":{number}}}'.encode())["a"]
    assert repr(value) == repr(json.loads(number))
    assert math.isfinite(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("backslashes", range(6))
def test_backslashes_before_quotes_hide_no_key(backslashes: int) -> None:
    key = json.dumps("\\" * backslashes + '":{' + "\\" * backslashes)
    assert load_object(f'{{{key}:1,"b":{key}}}'.encode()) == json.loads(f'{{{key}:1,"b":{key}}}')
    assert "stands twice" in refused(f'{{{key}:1,"b":{key},{key}:2}}'.encode()).message


def test_pairs_of_surrogates_are_one_character() -> None:
    assert load_object(b'{"a":"\\ud83d\\ude00","b":":{}[]\\"1e999\\\\"}') == {"a": "😀", "b": ':{}[]"1e999\\'}


@given(OBJECTS)
def test_what_was_read_can_be_written(value: dict[str, Any]) -> None:
    assert orjson.loads(orjson.dumps(load_object(json.dumps(value).encode()))) == value
