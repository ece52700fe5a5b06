"""The shape of what a model's header tells, as every list of models and files has it."""

from collections.abc import Collection
from typing import Literal

from pydantic import BaseModel

from bodhi_asgi.gguf.facts import GgufFacts


class ToolCapabilities(BaseModel):
    """Whether the model's template shows tools, and whether answers can be held to a schema."""

    function_calling: bool | None = None
    structured_output: bool | None = None


class ModelCapabilities(BaseModel):
    """What the model can do; null is unknown."""

    vision: bool | None = None
    audio: bool | None = None
    thinking: bool | None = None
    tools: ToolCapabilities = ToolCapabilities()


class ContextLimits(BaseModel):
    """In tokens."""

    max_input_tokens: int | None = None
    max_output_tokens: int | None = None


class ModelArchitecture(BaseModel):
    """What the model is made of."""

    family: str | None = None
    parameter_count: int | None = None
    quantization: str | None = None
    format: Literal["gguf"] = "gguf"


class ModelMetadata(BaseModel):
    """What the header of a model's file tells."""

    capabilities: ModelCapabilities
    context: ContextLimits
    architecture: ModelArchitecture
    chat_template: str | None = None


def encode_metadata(facts: GgufFacts | None, capabilities: Collection[str]) -> ModelMetadata | None:
    """Null until the header has been read. ``capabilities`` are names as the model's family tells them."""
    if facts is None:
        return None
    return ModelMetadata(
        capabilities=ModelCapabilities(
            vision="vision" in capabilities,
            audio="audio" in capabilities,
            thinking="thinking" in capabilities,
            tools=ToolCapabilities(
                function_calling="tools" in capabilities, structured_output="completion" in capabilities
            ),
        ),
        context=ContextLimits(max_input_tokens=facts.context_length or None),
        architecture=ModelArchitecture(
            family=facts.architecture or None,
            parameter_count=facts.parameters or None,
            quantization=facts.quantisation or None,
        ),
        chat_template=facts.chat_template or None,
    )
