"""How much a model may think, as dialects ask for it.

``reasoning_effort`` is OpenAI's; ``chat_template_kwargs`` is vLLM's and llama.cpp's name for what a template reads
besides messages, of which only what bears on thinking is let through; ``thinking_budget_tokens`` is a limit that the
engine enforces.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.conversation import TemplateOption
from bodhi_asgi.validation import WHOLE, WireModel

OPTIONS: Final = frozenset(
    {"enable_thinking", "thinking", "reasoning_effort", "clear_thinking", "preserve_thinking", "keep_past_thinking"}
)
"""Anything else could name what a renderer keeps for itself."""

MAX_TEXT: Final = 32
ON: Final = ("enable_thinking", "thinking")


class ThinkingOptions(WireModel):
    """What a request says of thinking."""

    reasoning_effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high"] | None,
        Field(description="How much the model thinks, where it can; none switches it off."),
    ] = None
    thinking_budget_tokens: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000), WHOLE] | None,
        Field(description="Thoughts are closed after so many tokens."),
    ] = None
    chat_template_kwargs: Annotated[
        dict[str, Any] | None, Field(description="What the template is told of thinking besides.")
    ] = None


def thinking_of(wire: ThinkingOptions) -> tuple[tuple[tuple[str, TemplateOption], ...], int | None]:
    """What the template is told, and the budget in tokens. Raises Invalid."""
    options: dict[str, TemplateOption] = {}
    budget = wire.thinking_budget_tokens
    if wire.reasoning_effort == "none":
        options = dict.fromkeys(ON, False)
        budget = 0  # for templates that have no switch
    elif wire.reasoning_effort is not None:
        effort = "low" if wire.reasoning_effort == "minimal" else wire.reasoning_effort
        options = {**dict.fromkeys(ON, True), "reasoning_effort": effort}
    for name, value in (wire.chat_template_kwargs or {}).items():
        param = f"chat_template_kwargs.{name[:64]}"
        if name not in OPTIONS:
            accepted = ", ".join(sorted(OPTIONS))
            raise Invalid(f"'{param}' is not an option of chat templates here; these are: {accepted}", param=param)
        if not isinstance(value, str | bool | int | float) or len(str(value)) > MAX_TEXT:
            raise Invalid(f"'{param}' is true, false, a number or a short text", param=param)
        options[name] = value
    return tuple(options.items()), budget
