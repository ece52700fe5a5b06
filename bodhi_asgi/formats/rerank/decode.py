"""From a rerank body to the neutral request, refusing by name whatever is wrong, unknown or too much."""

from dataclasses import dataclass

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.rerank.schema import RerankBody
from bodhi_asgi.messages.reading import RerankRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import without_neutral


@dataclass(frozen=True, slots=True)
class RerankCall:
    """A decoded call: what to rank, and how the client wants to receive it."""

    request: RerankRequest
    top_n: int | None
    return_documents: bool


def decode(body: JSONObject | RerankBody, limits: RequestLimits) -> RerankCall:
    """Translate a rerank body. Raises Invalid whose ``param`` is the path of the offending field."""
    wire = (
        body
        if isinstance(body, RerankBody)
        else validated(RerankBody, without_neutral(body, {}, frozenset()), {"documents": limits.documents})
    )
    if len(wire.documents) > limits.documents:
        raise Invalid(
            f"'documents' has {len(wire.documents)} items; at most {limits.documents} are accepted", param="documents"
        )
    documents = tuple(one if isinstance(one, str) else one.text for one in wire.documents)
    request = RerankRequest(wire.model, wire.query, documents, wire.keep_alive)
    return RerankCall(request, wire.top_n, bool(wire.return_documents))
