"""A function of the host as a tool: what the model is told of it, when a person is asked, how long it may take."""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, overload

from asgiref.sync import iscoroutinefunction
from pydantic import ValidationError

from bodhi_asgi.agents.errors import ToolUnusable
from bodhi_asgi.agents.signature import Signature, read_signature, without_bound
from bodhi_asgi.errors import Invalid
from bodhi_asgi.strict_json import load_object
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import first_fault

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""What OpenAI's API allows as the name of a function."""

Approval: TypeAlias = bool | Callable[[Mapping[str, Any]], bool]
"""Whether a person must approve a call: always, never, or a question to its validated arguments by name."""


class ArgumentsInvalid(Invalid):
    """The arguments of a tool call are not what the tool takes; told to the model, or to whoever edited them."""

    code = "tool_arguments_invalid"


@dataclass(frozen=True, slots=True)
class Tool:
    """A callable that a model may use. Make one with :func:`tool`; calling it calls the function.

    ``timeout_s`` in seconds limits one call; None leaves it to the agent's limits.
    """

    name: str
    description: str
    function: Callable[..., Any]
    needs_approval: Approval = False
    timeout_s: float | None = None
    signature: Signature = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            what = f"the tool name {self.name[:80]!r} is not one of letters, digits, _ and -, 1 to 64 of them"
            raise ToolUnusable(f"{what}; give it one with tool(name=...)", param="name")
        if self.timeout_s is not None and not 0 < self.timeout_s < float("inf"):
            raise ToolUnusable(
                f"'{self.name}' has timeout_s {self.timeout_s}; a positive number is accepted", param="timeout_s"
            )
        if callable(self.needs_approval) and iscoroutinefunction(self.needs_approval):
            # Its answer would be a coroutine, which is as good as True and is never awaited.
            raise ToolUnusable(
                f"'{self.name}' has an async needs_approval; a plain function is accepted", param="needs_approval"
            )
        if (
            inspect.isclass(self.function)
            or inspect.isgeneratorfunction(self.function)
            or inspect.isasyncgenfunction(self.function)
        ):
            raise ToolUnusable(
                f"'{self.name}' is a class or a generator; a function that returns is accepted", param=self.name
            )
        object.__setattr__(self, "signature", read_signature(self.function, self.name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def schema(self) -> JSONObject:
        """The JSON schema of the arguments."""
        return self.signature.schema

    @property
    def shape(self) -> JSONObject:
        """The tool in the OpenAI shape."""
        function: JSONObject = {"name": self.name, "parameters": self.schema}
        if self.description:
            function = {"name": self.name, "description": self.description, "parameters": self.schema}
        return {"type": "function", "function": function}

    def read(self, arguments: str) -> dict[str, Any]:
        """The arguments of a call as Python values, defaults included. Raises ArgumentsInvalid."""
        try:
            load_object(arguments.encode())  # strict about what JSON leaves open
            read = self.signature.arguments.model_validate_json(arguments)
        except ValidationError as error:
            fault = first_fault(error)
            raise ArgumentsInvalid(fault.message, param=fault.param) from None
        except (Invalid, UnicodeEncodeError):
            raise ArgumentsInvalid("the arguments are not one JSON object", param="arguments") from None
        fields = self.signature.arguments.model_fields
        return {str(info.alias): getattr(read, name) for name, info in fields.items()}

    def asks(self, arguments: Mapping[str, Any]) -> bool:
        """Whether a person must approve a call with these validated arguments. A predicate that fails says yes."""
        if isinstance(self.needs_approval, bool):
            return self.needs_approval
        try:
            return self.needs_approval(arguments) is not False
        except Exception:
            return True


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    needs_approval: Approval = False,
    timeout_s: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    needs_approval: Approval = False,
    timeout_s: float | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a function a tool, as a decorator or by call. Raises ToolUnusable, naming the parameter that is the reason.

    Name and description are the function's own, and its docstring, unless given. ``needs_approval`` pauses the run
    before the call until a person has decided.
    """

    def make(function: Callable[..., Any]) -> Tool:
        inner, _ = without_bound(function)
        text = description if description is not None else inspect.getdoc(inner) or ""
        return Tool(name or str(getattr(inner, "__name__", "")), text, function, needs_approval, timeout_s)

    return make if function is None else make(function)
