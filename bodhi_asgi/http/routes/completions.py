"""Completions of bare text in the OpenAI dialect."""

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_completions.decode import decode
from bodhi_asgi.formats.openai_completions.encode import CompletionChunkEncoder, encode_reply
from bodhi_asgi.formats.openai_completions.schema import Completion, CompletionRequest
from bodhi_asgi.http.answers import answer_frames
from bodhi_asgi.http.errors import error_frame, json_response
from bodhi_asgi.http.route import Call, Dialect, Route
from bodhi_asgi.http.stream import EventStream


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
    completion = encode_reply(reply, request_id=call.request_id, model=asked.model, created=created)
    return json_response(completion.model_dump())


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
