"""How a model speaks: its family, what of a request that family cannot honour, and who reads its answers."""

import json
from collections.abc import Callable
from typing import Final

from bodhi_asgi.engine.families.table import recognise
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.types import ModelFacts
from bodhi_asgi.errors import Invalid
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import GenerateRequest

TEMPLATE: Final = "tokenizer.chat_template"


def family_of(facts: ModelFacts, request: GenerateRequest) -> Family:
    """The model's family. Raises Invalid for thinking that is asked of a model that does not think."""
    family = recognise(facts.metadata.get(TEMPLATE, ""))
    if family.thinking is None and isinstance(request.prompt, ChatPrompt):
        options = dict(request.prompt.options)
        asked = "reasoning_effort" if "reasoning_effort" in options else "chat_template_kwargs" if options else ""
        wants_it = any(value is not False for value in options.values())
        if request.thinking_budget:
            asked, wants_it = "thinking_budget_tokens", True
        if wants_it:
            raise Invalid(
                f"'{asked}' means nothing to '{request.model}', whose chat template does not think", param=asked
            )
    return family


def reader_maker(family: Family, request: GenerateRequest) -> Callable[[], SpeechReader]:
    """Makes the reader of one answer. Bare text is read as it is."""
    if not isinstance(request.prompt, ChatPrompt):
        return lambda: SpeechReader(None, {})
    names = request.tool_use.names if request.tool_use else ()
    tools = [tool for tool in request.prompt.tools if not names or tool.name in names]
    schemas = {tool.name: json.loads(tool.parameters) for tool in tools}
    return lambda: SpeechReader(family, schemas)
