"""From the signature of a Python function to what a model is told of it and what its arguments are checked against.

Types become a JSON schema through pydantic. A signature that cannot be told to a model is refused when the tool is
made, by the name of the parameter. What is bound already, and the context of a run, is the host's and is not shown.
"""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar, Final, get_origin

from asgiref.sync import iscoroutinefunction
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from bodhi_asgi.agents.context import ToolContext
from bodhi_asgi.agents.errors import ToolUnusable
from bodhi_asgi.types import JSONObject

REFUSED_KINDS: Final[Mapping[Any, str]] = {
    inspect.Parameter.POSITIONAL_ONLY: "is positional only, and a model names its arguments",
    inspect.Parameter.VAR_POSITIONAL: "takes any number of arguments, and a model must know each by its name",
    inspect.Parameter.VAR_KEYWORD: "takes any arguments, and a model must know each by its name",
}


UNENFORCED: Final = frozenset({"uniqueItems", "propertyNames", "contentMediaType", "contentSchema"})
"""Keywords that pydantic writes and no model can be held to while it writes; arguments are checked for them later."""

FORMATS: Final = frozenset(
    {"date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}
)
"""Formats of text that a model can be held to."""

BY_NAME: Final = frozenset({"properties", "patternProperties", "$defs"})
"""Keywords whose values are schemas by names, which may read like keywords."""

VALUES: Final = frozenset({"default", "enum", "const", "examples"})
"""Keywords whose values are no schemas."""


class Arguments(BaseModel):
    """The arguments of one call. Fields are numbered and named by alias, so that any name is free for a parameter."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Signature:
    """What is known of a function: its callable without what was bound, its parameters as a model and as a schema."""

    function: Callable[..., Any]
    arguments: type[Arguments]
    schema: JSONObject
    context: str | None
    """The name of the parameter that receives the :class:`ToolContext`, if there is one."""
    is_async: bool
    """Whether calling it blocks nothing. One that is not so runs in a thread."""


class Terse(GenerateJsonSchema):
    """Without titles, which repeat the names and cost tokens; a default that is no JSON is left out."""

    ignored_warning_kinds: ClassVar[set[JsonSchemaWarningKind]] = {"skipped-choice", "non-serializable-default"}  # type: ignore[misc]

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def read_signature(function: Callable[..., Any], name: str) -> Signature:
    """Read ``function``, which the model will know as ``name``. Raises ToolUnusable naming the parameter."""
    plain, bound = without_bound(function)
    target = plain if inspect.isroutine(plain) or hasattr(plain, "__wrapped__") else plain.__call__  # type: ignore[operator]
    try:
        parameters = [one for one in inspect.signature(function).parameters.values() if one.name not in bound]
    except (TypeError, ValueError):
        raise ToolUnusable(
            f"'{name}' has no signature that Python can read; wrap it in a function", param=name
        ) from None
    context = None
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(parameters):
        where = f"{name}.{parameter.name}"
        if parameter.kind in REFUSED_KINDS:
            raise ToolUnusable(f"'{where}' {REFUSED_KINDS[parameter.kind]}", param=where)
        hint = _hint(target, parameter, where)
        if hint is ToolContext or get_origin(hint) is ToolContext:
            if context is not None:
                raise ToolUnusable(f"'{where}' is a second context; one is enough", param=where)
            context = parameter.name
            continue
        _must_be_json(hint, where)
        fields[f"p{number}"] = (_described(hint), _field(parameter))
    arguments = create_model("Arguments", __base__=Arguments, **fields)
    return Signature(function, arguments, _schema(arguments), context, iscoroutinefunction(target))


def without_bound(function: Callable[..., Any]) -> tuple[Callable[..., Any], set[str]]:
    """The function inside of partials, and the names that they bind."""
    bound: set[str] = set()
    while isinstance(function, functools.partial):
        bound |= set(function.keywords)
        function = function.func
    return function, bound


def _hint(target: Any, parameter: inspect.Parameter, where: str) -> Any:
    """The type of one parameter, resolved by itself, so that nobody need resolve what a function returns."""
    if parameter.annotation is inspect.Parameter.empty:
        raise ToolUnusable(f"'{where}' has no type, and a model must be told one", param=where)
    alone = SimpleNamespace(__annotations__={parameter.name: parameter.annotation})
    names = getattr(inspect.unwrap(target), "__globals__", {})
    try:
        return typing.get_type_hints(alone, globalns=names, include_extras=True)[parameter.name]
    except (NameError, TypeError, SyntaxError) as error:
        raise ToolUnusable(f"the type of '{where}' cannot be resolved: {error}", param=where) from error


def _must_be_json(hint: Any, where: str) -> None:
    try:
        TypeAdapter(hint).json_schema(schema_generator=Terse)
    except (PydanticUserError, TypeError, ValueError) as error:
        shown = getattr(hint, "__name__", None) or str(hint)
        what = f"'{where}' is {shown}, which has no JSON schema; bind it, or take it from the ToolContext"
        if isinstance(error, PydanticUserError) and error.code == "typed-dict-version":
            what = f"'{where}' is a TypedDict of typing; before Python 3.12 take that of typing_extensions"
        raise ToolUnusable(what, param=where) from error


def _described(hint: Any) -> Any:
    """A bare string in ``Annotated`` is a description too."""
    if get_origin(hint) is Annotated:
        texts = [one for one in hint.__metadata__ if isinstance(one, str)]
        if texts:
            return Annotated[hint, Field(description=texts[0])]
    return hint


def _field(parameter: inspect.Parameter) -> FieldInfo:
    """The field of a parameter under the parameter's own name."""
    default = ... if parameter.default is inspect.Parameter.empty else parameter.default
    if isinstance(default, FieldInfo):
        return FieldInfo.merge_field_infos(default, alias=parameter.name, validation_alias=parameter.name)
    field: FieldInfo = Field(default, alias=parameter.name)
    return field


def _schema(arguments: type[Arguments]) -> JSONObject:
    """The JSON schema, in the order that models have seen most."""
    made = _enforceable(arguments.model_json_schema(schema_generator=Terse))
    for inner in made.get("$defs", {}).values():
        inner.pop("title", None)
    schema: JSONObject = {"type": "object", "properties": {}}
    for key in ("properties", "required", "additionalProperties", "$defs"):
        if key in made:
            schema[key] = made[key]
    return schema


def _enforceable(schema: Any) -> Any:
    """The schema without what a model cannot be held to, because one with it would be refused."""
    if isinstance(schema, list):
        return [_enforceable(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key in BY_NAME:
            kept[key] = {name: _enforceable(one) for name, one in value.items()}
        elif key in VALUES:
            kept[key] = value
        elif key not in UNENFORCED and (key != "format" or value in FORMATS):
            kept[key] = _enforceable(value)
    return kept
