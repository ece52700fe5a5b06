"""What a model is told of a function, and which functions are refused."""

import functools
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from asgiref.sync import sync_to_async
from pydantic import BaseModel, Field

from bodhi_asgi import BodhiError, ConfigurationInvalid, Tool, ToolContext, tool
from bodhi_asgi.agents.errors import ToolUnusable
from bodhi_asgi.agents.tool import ArgumentsInvalid


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Address(BaseModel):
    """Where something goes."""

    street: str = Field(description="With the number")
    city: str


@dataclass
class Shop:
    name: str

    async def close(self, day: date) -> str:
        """Close the shop for a day."""
        return f"{self.name} {day}"


async def order(
    item: Annotated[str, "What is wanted", Field(min_length=2)],
    size: Size,
    to: Address,
    count: Annotated[int, Field(ge=1, le=9, description="How many")] = 1,
    wrap: Literal["paper", "box"] | None = None,
    day: date = date(2026, 1, 2),
    *,
    shop: ToolContext[Shop],
) -> str:
    """Order something.

    Takes a day.
    """
    return f"{item} {size.name} {to.city} {count} {wrap} {day} {shop.deps.name}"


def test_the_schema_says_what_the_signature_says() -> None:
    made = tool(order)
    assert (made.name, made.description) == ("order", "Order something.\n\nTakes a day.")
    assert list(made.schema) == ["type", "properties", "required", "additionalProperties", "$defs"]
    assert made.schema == {
        "type": "object",
        "properties": {
            "item": {"description": "What is wanted", "minLength": 2, "type": "string"},
            "size": {"$ref": "#/$defs/Size"},
            "to": {"$ref": "#/$defs/Address"},
            "count": {"default": 1, "description": "How many", "maximum": 9, "minimum": 1, "type": "integer"},
            "wrap": {"anyOf": [{"enum": ["paper", "box"], "type": "string"}, {"type": "null"}], "default": None},
            "day": {"default": "2026-01-02", "format": "date", "type": "string"},
        },
        "required": ["item", "size", "to"],
        "additionalProperties": False,
        "$defs": {
            "Address": {
                "description": "Where something goes.",
                "properties": {
                    "street": {"description": "With the number", "type": "string"},
                    "city": {"type": "string"},
                },
                "required": ["street", "city"],
                "type": "object",
            },
            "Size": {"enum": ["s", "l"], "type": "string"},
        },
    }


def test_a_function_without_parameters_has_an_empty_schema() -> None:
    def now() -> str:
        return "noon"

    assert tool(now).shape == {
        "type": "function",
        "function": {
            "name": "now",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
        },
    }


def test_arguments_arrive_as_the_types_of_the_signature() -> None:
    text = '{"item": "tea", "size": "l", "to": {"street": "x 1", "city": "Oslo"}, "day": "2026-05-06"}'
    read = tool(order).read(text)
    assert read == {
        "item": "tea",
        "size": Size.LARGE,
        "to": Address(street="x 1", city="Oslo"),
        "count": 1,
        "wrap": None,
        "day": date(2026, 5, 6),
    }


@pytest.mark.parametrize(
    ("text", "param", "says"),
    [
        ("", "arguments", "one JSON object"),
        ("[]", "arguments", "one JSON object"),
        ('{"a": 1, "a": 2}', "arguments", "one JSON object"),
        ('{"a": "x"}', "a", "integer"),
        ("{}", "a", "required"),
        ('{"a": 1, "b": 2}', "b", "not a parameter"),
        ('{"a": 1e400}', "arguments", "one JSON object"),
        ('{"p0": 1}', "a", "required"),
        ("\ud800", "arguments", "one JSON object"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_the_name_of_the_parameter(text: str, param: str, says: str) -> None:
    def double(a: int) -> int:
        return 2 * a

    with pytest.raises(ArgumentsInvalid, match=says) as refused:
        tool(double).read(text)
    assert refused.value.param == param


def test_any_name_is_free_for_a_parameter() -> None:
    def odd(schema: int, model_config: str, _hidden: bool, json: float, copy: list[int], self: str) -> None: ...

    read = tool(odd).read('{"schema": 1, "model_config": "m", "_hidden": true, "json": 1.5, "copy": [1], "self": "s"}')
    assert read == {"schema": 1, "model_config": "m", "_hidden": True, "json": 1.5, "copy": [1], "self": "s"}


def test_what_is_bound_already_is_not_shown() -> None:
    async def rename(shop: Shop, new: str, loud: bool) -> str:
        """Rename the shop."""
        return f"{shop.name} {new} {loud}"

    bound = tool(functools.partial(rename, Shop("corner"), loud=True))
    assert list(bound.schema["properties"]) == ["new"]  # type: ignore[arg-type]
    assert (bound.name, bound.description, bound.signature.is_async) == ("rename", "Rename the shop.", True)
    method = tool(Shop("corner").close)
    assert list(method.schema["properties"]) == ["day"]  # type: ignore[arg-type]
    assert (method.name, method.description) == ("close", "Close the shop for a day.")


def test_a_callable_object_and_a_wrapped_function_are_read_through() -> None:
    class Adder:
        """Adds."""

        async def __call__(self, a: int) -> int:
            return a + 1

    made = tool(name="adder")(Adder())
    assert made.signature.is_async
    assert made.description == "Adds."
    assert made.read('{"a": 1}') == {"a": 1}

    def count(table: str) -> int:
        """Count rows."""
        return len(table)

    wrapped = tool(sync_to_async(count))
    assert wrapped.signature.is_async
    assert (wrapped.name, wrapped.description) == ("count", "Count rows.")


def test_a_default_that_is_no_json_is_kept_and_not_shown() -> None:
    nothing = Size.SMALL
    marker = object()

    def find(what: str = "all", limit: Any = marker, size: Size = nothing) -> None: ...

    made = tool(find)
    assert made.schema["properties"]["limit"] == {}  # type: ignore[index,call-overload]
    assert made.read("{}") == {"what": "all", "limit": marker, "size": Size.SMALL}


def test_a_field_as_default_carries_description_and_default() -> None:
    def find(limit: int = Field(5, le=10, description="How many")) -> int:
        return limit

    made = tool(find)
    assert made.schema["properties"] == {
        "limit": {"default": 5, "description": "How many", "maximum": 10, "type": "integer"}
    }
    assert made.read("{}") == {"limit": 5}


def test_a_return_type_that_cannot_be_resolved_is_nobodys_concern() -> None:
    def find(a: "int") -> "NotImported":  # type: ignore[name-defined]  # noqa: F821
        return a

    assert tool(find).read('{"a": 3}') == {"a": 3}


class Connection: ...


class Options(TypedDict):
    verbose: bool


def star(*values: int) -> None: ...
def stars(**values: int) -> None: ...
def positional(a: int, /) -> None: ...
def bare(a) -> None: ...  # type: ignore[no-untyped-def]
def foreign(a: Connection) -> None: ...
def forward(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def unhashable(a: AsyncIterator[int]) -> None: ...
def contexts(a: ToolContext[int], b: ToolContext[int]) -> None: ...
def maybe_context(a: ToolContext[int] | None) -> None: ...
def typed(a: Options) -> None: ...
def generator(a: int):  # type: ignore[no-untyped-def]
    yield a


@pytest.mark.parametrize(
    ("function", "param", "says"),
    [
        (star, "star.values", "each by its name"),
        (stars, "stars.values", "each by its name"),
        (positional, "positional.a", "positional only"),
        (bare, "bare.a", "no type"),
        (foreign, "foreign.a", "no JSON schema"),
        (forward, "forward.a", "cannot be resolved"),
        (unhashable, "unhashable.a", "no JSON schema"),
        (contexts, "contexts.b", "second context"),
        (maybe_context, "maybe_context.a", "no JSON schema"),
        pytest.param(
            *(typed, "typed.a", "typing_extensions"),
            marks=pytest.mark.skipif(sys.version_info >= (3, 12), reason="read by pydantic since 3.12"),
        ),
        (generator, "generator", "generator"),
        (lambda a: a, "name", "tool name '<lambda>'"),
        (functools.partial(lambda a: a, 1), "name", "tool name"),
        (Shop, "Shop", "a class"),
        (dict.get, "get.self", "positional only"),
    ],
)
def test_a_function_that_cannot_be_told_is_refused_by_the_name_of_the_parameter(
    function: Any, param: str, says: str
) -> None:
    with pytest.raises(ToolUnusable, match=says) as refused:
        tool(function)
    assert refused.value.param == param
    assert isinstance(refused.value, ConfigurationInvalid)


@pytest.mark.parametrize(
    "options",
    [{"name": "two words"}, {"name": "x" * 65}, {"timeout_s": 0}, {"timeout_s": float("inf")}, {"timeout_s": -1.0}],
)
def test_a_wrong_option_of_a_tool_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ToolUnusable):
        tool(**options)(order)


def test_an_async_predicate_is_refused_because_a_coroutine_is_always_true() -> None:
    async def large(_: Any) -> bool:
        return False

    with pytest.raises(ToolUnusable, match="async needs_approval"):
        tool(needs_approval=large)(order)  # type: ignore[arg-type]


def test_what_no_model_can_be_held_to_is_not_told_and_still_checked() -> None:
    def find(
        words: set[str],
        file: Path,
        day: date,
        format: dict[Literal["a", "b"], int],  # noqa: A002
        uniqueItems: dict[str, list[set[int]]] | None = None,  # noqa: N803
        default: tuple[Path, ...] = (),
    ) -> None: ...

    made = tool(find)
    assert made.schema["properties"] == {
        "words": {"type": "array", "items": {"type": "string"}},
        "file": {"type": "string"},
        "day": {"type": "string", "format": "date"},
        "format": {"type": "object", "additionalProperties": {"type": "integer"}},
        "uniqueItems": {
            "anyOf": [
                {
                    "type": "object",
                    "additionalProperties": {
                        "type": "array",
                        "items": {"type": "array", "items": {"type": "integer"}},
                    },
                },
                {"type": "null"},
            ],
            "default": None,
        },
        "default": {"type": "array", "items": {"type": "string"}, "default": []},
    }
    rest = '"file": "a/b", "day": "2026-01-02"'
    assert made.read(f'{{"words": ["a", "a"], "format": {{"a": 1}}, {rest}}}')["words"] == {"a"}
    with pytest.raises(ArgumentsInvalid):
        made.read(f'{{"words": [], "format": {{"c": 1}}, {rest}}}')


async def test_a_tool_can_still_be_called_like_the_function_it_is() -> None:
    @tool(name="plus", description="Adds.", timeout_s=3)
    async def add(a: int, b: int) -> int:
        return a + b

    assert isinstance(add, Tool)
    assert (add.name, add.description, add.timeout_s) == ("plus", "Adds.", 3)
    assert await add(1, 2) == 3


def test_what_is_wrong_is_an_error_of_ours() -> None:
    with pytest.raises(BodhiError):
        tool(star)
