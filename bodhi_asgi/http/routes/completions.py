"""Completions of bare text in the OpenAI dialect."""

from functools import partial

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_completions.decode import decode
from bodhi_asgi.formats.openai_completions.encode import CompletionChunkEncoder, to_json
from bodhi_asgi.formats.openai_completions.schema import Completion, CompletionRequest
from bodhi_asgi.http.answers import answer_frames
from bodhi_asgi.http.errors import error_frame
from bodhi_asgi.http.route import Call, Dialect, Route
from bodhi_asgi.http.stream import EventStream
from bodhi_asgi.wire.logprobs import size_of


async def complete(call: Call) -> Response | EventStream:
    """Continue texts, whole or as a stream of chunks that ends with ``[DONE]``."""
    asked = await call.asked(decode)
    created = int(call.services.clock.now().timestamp())
    if asked.stream:
        answer = await call.services.inference.stream(call.caller, *asked.requests)
        encoder = CompletionChunkEncoder(
            request_id=call.request_id, model=asked.model, created=created, include_usage=asked.include_usage
        )
        return EventStream(answer_frames(answer, encoder.encode), error_frame(Dialect.OPENAI), answer.aclose)
    reply = await call.services.inference.complete(call.caller, *asked.requests)
    make = partial(to_json, reply, request_id=call.request_id, model=asked.model, created=created)
    return Response(await call.services.desk.encode(make, size=size_of(reply)), media_type="application/json")


ROUTES = (
    Route(
        method="POST",
        path="/v1/completions",
        name="completions",
        summary="Continue texts",
        tag="inference",
        access=Scope.INFERENCE,
        handler=complete,
        dialect=Dialect.OPENAI,
        request=CompletionRequest,
        response=Completion,
        streams=True,
        errors=frozenset({Kind.NOT_FOUND, Kind.QUARANTINED, Kind.BUSY, Kind.UNAVAILABLE}),
    ),
)
