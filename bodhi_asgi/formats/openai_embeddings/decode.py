"""From an embeddings body to the neutral request, refusing by name whatever is wrong, unknown or too much."""

from dataclasses import dataclass
from typing import Literal

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingsRequest
from bodhi_asgi.messages.reading import EmbedRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.inputs import prompts_of
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import without_neutral


@dataclass(frozen=True, slots=True)
class EmbeddingsCall:
    """A decoded call: what to embed, and how the client wants to receive it."""

    request: EmbedRequest
    encoding_format: Literal["float", "base64"]


def decode(body: JSONObject | EmbeddingsRequest, limits: RequestLimits) -> EmbeddingsCall:
    """Translate an embeddings body. Raises Invalid whose ``param`` is the path of the offending field."""
    wire = (
        body
        if isinstance(body, EmbeddingsRequest)
        else validated(EmbeddingsRequest, without_neutral(body, {}, frozenset()), {"input": limits.inputs})
    )
    inputs = prompts_of(wire.input)
    if len(inputs) > limits.inputs:
        raise Invalid(f"'input' has {len(inputs)} items; at most {limits.inputs} are accepted", param="input")
    return EmbeddingsCall(
        EmbedRequest(wire.model, inputs, wire.dimensions, wire.keep_alive), wire.encoding_format or "float"
    )
