"""From plain JSON data back to our frozen dataclasses, by their own annotations and strictly.

Encoding needs no code: orjson writes dataclasses and enumerations as they are. Decoding refuses unknown fields, missing
fields and wrong types, so that a request that reaches the engine has the shape its type promises.
"""

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class PlainInvalid(Exception):
    """The data does not have the shape of the type."""


def from_plain(shape: type[T], data: object) -> T:
    """``data`` as a value of ``shape``: a dataclass, enumeration, literal, union, tuple, dict or simple type."""
    return _value(shape, data)  # type: ignore[no-any-return]


def _value(shape: Any, data: object) -> Any:
    origin = get_origin(shape)
    if origin is Union or origin is types.UnionType:
        return _one_of(get_args(shape), data)
    if origin is Literal:
        if data in get_args(shape):
            return data
    elif origin is tuple:
        return _tuple(get_args(shape), data)
    elif origin is dict:
        if isinstance(data, dict):
            key_shape, value_shape = get_args(shape)
            return {_value(key_shape, key): _value(value_shape, value) for key, value in data.items()}
    elif is_dataclass(shape):
        return _dataclass(shape, data)
    elif isinstance(shape, type) and issubclass(shape, Enum):
        try:
            return shape(data)
        except ValueError as error:
            raise PlainInvalid(str(error)) from error
    elif shape is float:
        if isinstance(data, int | float) and not isinstance(data, bool):
            return float(data)
    elif type(data) is shape or (shape is types.NoneType and data is None):
        return data
    raise PlainInvalid(f"a {type(data).__name__} where {shape} belongs")


def _one_of(shapes: tuple[Any, ...], data: object) -> Any:
    for shape in shapes:
        try:
            return _value(shape, data)
        except PlainInvalid:
            continue
    raise PlainInvalid(f"a {type(data).__name__} that fits none of {shapes}")


def _tuple(shapes: tuple[Any, ...], data: object) -> tuple[Any, ...]:
    if not isinstance(data, list):
        raise PlainInvalid(f"a {type(data).__name__} where a list belongs")
    if len(shapes) == 2 and shapes[1] is Ellipsis:
        if shapes[0] is int and all(type(item) is int for item in data):
            return tuple(data)  # token ids come by the hundred thousand
        return tuple(_value(shapes[0], item) for item in data)
    if len(shapes) != len(data):
        raise PlainInvalid(f"{len(data)} items where {len(shapes)} belong")
    return tuple(_value(shape, item) for shape, item in zip(shapes, data, strict=True))


def _dataclass(shape: Any, data: object) -> Any:
    if not isinstance(data, dict):
        raise PlainInvalid(f"a {type(data).__name__} where {shape.__name__} belongs")
    hints, required = _plan(shape)
    if unknown := data.keys() - hints.keys():
        raise PlainInvalid(f"{shape.__name__} has no {sorted(map(str, unknown))}")
    if missing := required - data.keys():
        raise PlainInvalid(f"{shape.__name__} needs {sorted(missing)}")
    return shape(**{name: _value(hints[name], value) for name, value in data.items()})


@cache
def _plan(shape: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    hints = get_type_hints(shape)
    own: tuple[Field[Any], ...] = fields(shape)
    required = (field.name for field in own if field.default is MISSING and field.default_factory is MISSING)
    return {field.name: hints[field.name] for field in own}, frozenset(required)
