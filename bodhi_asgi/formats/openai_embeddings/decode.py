"""From an embeddings body to the neutral request, refusing by name whatever is wrong, unknown or too much."""

from dataclasses import dataclass
from typing import Literal

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingsRequest, Input
from bodhi_asgi.messages import EmbedRequest, TextPrompt, TokenPrompt
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
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
        else validated(EmbeddingsRequest, without_neutral(body, {}, frozenset()))
    )
    inputs = _inputs(wire.input)
    if len(inputs) > limits.inputs:
        raise Invalid(f"'input' has {len(inputs)} items; at most {limits.inputs} are accepted", param="input")
    return EmbeddingsCall(EmbedRequest(wire.model, inputs, wire.dimensions), wire.encoding_format or "float")


def _inputs(given: Input) -> tuple[TextPrompt | TokenPrompt, ...]:
    if isinstance(given, str):
        return (TextPrompt(given),)
    if isinstance(given[0], int):
        return (TokenPrompt(tuple(given)),)
    return tuple(TextPrompt(one) if isinstance(one, str) else TokenPrompt(tuple(one)) for one in given)
