"""Tools as OpenAI's dialects write them: what is offered, which may be used, and calls that were made.

Source: the OpenAI API reference, chat completions: ``tools``, ``tool_choice``, ``parallel_tool_calls``, and the older
``functions`` and ``function_call``, which mean one call at a time.
"""

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.conversation import ToolSpec, ToolUse
from bodhi_asgi.validation import WireModel
from bodhi_asgi.wire.limits import RequestLimits

ToolName: TypeAlias = Annotated[str, Field(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class FunctionShape(WireModel):
    """A function that a model may call. Arguments always satisfy ``parameters``; ``strict`` adds nothing to that."""

    name: ToolName
    description: Annotated[str, Field(max_length=16_384)] | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolShape(WireModel):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionShape


class NamedFunction(WireModel):
    """A function by its name."""

    name: ToolName


class NamedTool(WireModel):
    """A tool by its name."""

    type: Literal["function"]
    function: NamedFunction


class AllowedTools(WireModel):
    """Some of the tools: they may be used, or one of them has to be."""

    mode: Literal["auto", "required"]
    tools: Annotated[list[NamedTool], Field(min_length=1, max_length=128, fail_fast=True)]


class AllowedChoice(WireModel):
    """A choice among some of the tools, with all of them still shown to the model."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


class ToolOptions(WireModel):
    """What a request says of tools."""

    tools: Annotated[
        Annotated[list[ToolShape], Field(fail_fast=True)] | None,
        Field(description="Functions that the model may call."),
    ] = None
    tool_choice: Annotated[
        Literal["none", "auto", "required"] | NamedTool | AllowedChoice | None,
        Field(description="Whether a tool may, must or must not be called, and which."),
    ] = None
    parallel_tool_calls: Annotated[
        bool | None, Field(description="Whether one answer may have several calls; true unless said otherwise.")
    ] = None
    functions: Annotated[
        Annotated[list[FunctionShape], Field(fail_fast=True)] | None,
        Field(description="The older form of tools, for one call at a time."),
    ] = None
    function_call: Annotated[
        Literal["none", "auto"] | NamedFunction | None, Field(description="The older form of tool_choice.")
    ] = None


def tools_of(wire: ToolOptions, limits: RequestLimits) -> tuple[tuple[ToolSpec, ...], ToolUse | None]:
    """The tools to show, and how they may be used; nothing and None where none may be. Raises Invalid."""
    if wire.functions is not None and wire.tools is not None:
        raise Invalid("'functions' is the older form of 'tools'; give one of them", param="functions")
    offered, field = wire.functions or (), "functions"
    if wire.functions is None:
        offered, field = [tool.function for tool in wire.tools or ()], "tools"
    if len(offered) > limits.tools:
        raise Invalid(f"'{field}' has {len(offered)} items; at most {limits.tools} are accepted", param=field)
    names = [function.name for function in offered]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise Invalid(f"'{field}.{index}' has the name '{name}' of another; names are given once", param=field)
    required, chosen, param = _choice(wire)
    for name in chosen:
        if name not in names:
            raise Invalid(f"'{param}' names '{name}', which is not among the tools", param=param)
    if required and not names:
        raise Invalid(f"'{param}' asks for a call, and there are no tools", param=param)
    if required is None or not names:
        return (), None
    parallel = wire.functions is None and wire.parallel_tool_calls is not False
    return tuple(map(_spec, offered)), ToolUse(required, chosen, parallel)


def _choice(wire: ToolOptions) -> tuple[bool | None, tuple[str, ...], str]:
    """Whether a tool has to be used (None: none may be), which ones may be, and the field that says so."""
    if wire.function_call is not None:
        if wire.functions is None:
            raise Invalid("'function_call' goes with 'functions'; for tools it is 'tool_choice'", param="function_call")
        if isinstance(wire.function_call, NamedFunction):
            return True, (wire.function_call.name,), "function_call"
        return (False if wire.function_call == "auto" else None), (), "function_call"
    match wire.tool_choice:
        case NamedTool(function=function):
            return True, (function.name,), "tool_choice"
        case AllowedChoice(allowed_tools=allowed):
            return allowed.mode == "required", tuple(tool.function.name for tool in allowed.tools), "tool_choice"
        case "none":
            return None, (), "tool_choice"
    return wire.tool_choice == "required", (), "tool_choice"


def _spec(function: FunctionShape) -> ToolSpec:
    parameters = {"type": "object", "properties": {}} if function.parameters is None else function.parameters
    return ToolSpec(function.name, function.description or "", json.dumps(parameters, ensure_ascii=False))
