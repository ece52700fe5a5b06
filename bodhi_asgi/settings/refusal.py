"""From a validation finding to one human sentence that names the field, the value and what is accepted."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.settings.checks import shown
from bodhi_asgi.settings.tuning import ModelSettings
from bodhi_asgi.types import Secret

SHOWN_CHARS: Final = 80
MODELS: Final = "models"
KINDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    str: "text",
    Secret: "text",
    dict: "a mapping of names to paths",
    tuple: "a list",
}
LIMITS: Final = {"ge": "from {}", "gt": "over {}", "le": "to {}"}


def refusal(
    error: ValidationError, model: type[BaseModel], sources: Mapping[str, str], known: Iterable[str]
) -> ConfigurationInvalid:
    """The first finding as our own error. ``sources`` tells in words where a value came from, ``known`` all names."""
    fault = error.errors(include_url=False)[0]
    loc = [str(part) for part in fault["loc"]]
    if fault["type"] == "contradiction":
        return ConfigurationInvalid(fault["msg"], param=fault["ctx"]["name"])
    if loc[0] == MODELS and len(loc) > 2:
        del loc[2]  # whether the entry is a path or a table
        known = [*known, *(f"{MODELS}.{loc[1]}.{name}" for name in ModelSettings.model_fields)]
    name = ".".join(loc)
    if fault["type"] == "extra_forbidden":
        return unknown(name, known)
    accepted = str(fault["ctx"]["error"]) if fault["type"] == "value_error" else _accepted(model, loc)
    value = Secret("") if _is_secret(model, loc) else fault["input"]
    return wrong_value(name, value, accepted, sources.get(name) or sources.get(loc[0]))


def wrong_value(name: str, value: object, accepted: str, source: str | None = None) -> ConfigurationInvalid:
    """The refusal of a value, which is shown without secrets."""
    where = f" ({source})" if source else ""
    return ConfigurationInvalid(f"the setting '{name}'{where} is {_value(value)}: {accepted}", param=name)


def unknown(name: str, known: Iterable[str]) -> ConfigurationInvalid:
    """The refusal of a name, with the nearest that exists."""
    near = nearest(name, known, ".")
    hint = f"did you mean '{near}'?" if near else "'bodhi settings' lists them all"
    return ConfigurationInvalid(f"'{name[:SHOWN_CHARS]}' is no setting; {hint}", param=name[:SHOWN_CHARS])


def nearest(name: str, known: Iterable[str], delimiter: str) -> str | None:
    """The name that was probably meant: one in a group that was left out, or one that is spelled much alike."""
    names = list(known)
    inner = [other for other in names if other.endswith(f"{delimiter}{name.rpartition(delimiter)[2]}")]
    return next(iter(inner or difflib.get_close_matches(name[:SHOWN_CHARS], names, n=1)), None)


def _value(value: object) -> str:
    # A list or mapping is not shown: it may be huge, and anything may stand in it.
    if isinstance(value, str | Path):
        text = repr(shown(str(value)))
    elif value is None or isinstance(value, bool | int | float):
        text = repr(value)
    else:
        text = "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_CHARS else f"{text[: SHOWN_CHARS - 3]}..."


def _is_secret(model: type[BaseModel], loc: list[str]) -> bool:
    kind = model.model_fields[loc[0]].annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return len(loc) > 1 and _is_secret(kind, loc[1:])
    return Secret in (kind, *get_args(kind))


def _accepted(model: type[BaseModel], loc: list[str]) -> str:
    field = model.model_fields[loc[0]]
    kind = field.annotation
    if loc[0] == MODELS and len(loc) > 2:
        return _accepted(ModelSettings, loc[2:])
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return _accepted(kind, loc[1:]) if len(loc) > 1 else f"a table is accepted, with {', '.join(kind.model_fields)}"
    return f"{_kinds(kind)}{_range(field)} is accepted"


def _kinds(kind: Any) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_kinds(member) for member in get_args(kind) if member is not NoneType)
    if get_origin(kind) is Literal:
        return " or ".join(f"'{choice}'" for choice in get_args(kind))
    return KINDS.get(get_origin(kind) or kind, "another type")


def _range(field: FieldInfo) -> str:
    found = {sign: getattr(item, sign) for item in field.metadata for sign in LIMITS if hasattr(item, sign)}
    return "".join(f" {LIMITS[sign].format(found[sign])}" for sign in LIMITS if sign in found)
