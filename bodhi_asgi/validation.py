"""From a validation finding to one refusal that names the field, for the strict shapes of every dialect."""

from collections.abc import Collection, Mapping
from itertools import islice
from reprlib import Repr
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from bodhi_asgi.errors import Invalid
from bodhi_asgi.types import JSONObject

M = TypeVar("M", bound=BaseModel)
SHOWN_CHARS = 60
MANY_FAULTS: Final = 1000
"""Writing out so many takes some milliseconds, and nobody else has his turn meanwhile."""

FIRST_ENTRIES: Final = 64
"""More than any object of ours has fields, so that one which is unknown is among them when there are many."""

LOOKED_INTO: Final = 8
_SHORT: Final = Repr()
# Writing out a list of a million items, to show the first of them, would hold up everybody else.
_SHORT.maxlist = _SHORT.maxdict = SHOWN_CHARS
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 4 * SHOWN_CHARS
NO_LIMITS: Final[Mapping[str, int]] = MappingProxyType({})


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_whole)
"""For an integer of a strict shape. JSON has one kind of number, so that 30.0 is a whole one, as JSON Schema says."""


class WireModel(BaseModel):
    """Strict: nothing is coerced, nothing unknown is swallowed."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ParameterUnknown(Invalid):
    """The call has no such parameter."""

    code = "unknown_parameter"
    openai_code = "unknown_parameter"


def validated(model: type[M], body: JSONObject, most: Mapping[str, int] = NO_LIMITS) -> M:
    """``body`` as ``model``. Raises Invalid with the path of the field and what is accepted.

    ``most`` are the most items of lists by their field. They are counted first, and so are parameters, because looking
    into each of a million holds up everybody else.
    """
    _refuse_too_many(model, body, most)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise _first_of(error, model, body) from None


def _first_of(error: ValidationError, model: type[BaseModel], body: JSONObject) -> Invalid:
    """The most telling finding. Lists end at their first fault; an object may have tens of thousands."""
    if error.error_count() <= MANY_FAULTS:
        return first_fault(error)
    try:
        model.model_validate(_beginning(body, LOOKED_INTO))
    except ValidationError as fewer:
        if fewer.error_count() <= MANY_FAULTS:
            return first_fault(fewer, but=("missing",))  # what is missing now was perhaps left out here
    return Invalid(f"the body has {error.error_count()} faults; it has another shape than what is accepted here")


def _beginning(value: Any, depth: int) -> Any:
    """``value`` with the first entries only of every object in it."""
    if depth == 0:
        return value
    if isinstance(value, dict):
        return {name: _beginning(value[name], depth - 1) for name in islice(value, FIRST_ENTRIES)}
    if isinstance(value, list):
        return [_beginning(item, depth - 1) for item in value]
    return value


def _refuse_too_many(model: type[BaseModel], body: JSONObject, most: Mapping[str, int]) -> None:
    fields = model.model_fields
    if model.model_config.get("extra") == "forbid" and len(body) > len(fields):
        known = {*fields, *(field.alias for field in fields.values())}
        unknown = next((name for name in body if name not in known), None)
        if unknown is not None:
            raise ParameterUnknown(f"'{unknown}' is not a parameter of this call", param=unknown)
    for name, limit in most.items():
        items = body.get(name)
        # A list of numbers is one item: the tokens of a text.
        if isinstance(items, list) and len(items) > limit and not isinstance(items[0], int):
            raise Invalid(f"'{name}' has {len(items)} items; at most {limit} are accepted", param=name)


def first_fault(error: ValidationError, but: Collection[str] = ()) -> Invalid:
    """The most telling of pydantic's findings, as one sentence; not one of the types ``but`` if there are others."""
    faults = error.errors(include_url=False, include_context=True, include_input=True)
    faults = [fault for fault in faults if fault["type"] not in but] or faults
    # A union reports one fault per member: prefer the member that was meant, then the one that got furthest.
    fault = max(faults, key=lambda item: (item["type"] in ("literal_error", "too_short", "too_long"), len(item["loc"])))
    path = [str(part) for part in fault["loc"] if part not in ("str", "int", "float") and "[" not in str(part)]
    param = ".".join(path)
    if fault["type"] == "extra_forbidden":
        return ParameterUnknown(f"'{param}' is not a parameter of this call", param=param)
    if fault["type"] == "missing":
        return Invalid(f"'{param}' is required", param=param)
    shown = _SHORT.repr(fault["input"])
    shown = shown if len(shown) <= SHOWN_CHARS else f"{shown[: SHOWN_CHARS - 3]}..."
    return Invalid(f"'{param}' is {shown}: {fault['msg'].lower()}", param=param)
