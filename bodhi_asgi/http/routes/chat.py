"""Chat completions in the OpenAI dialect."""

from functools import partial

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_chat.decode import decode
from bodhi_asgi.formats.openai_chat.encode import ChunkEncoder, to_json
from bodhi_asgi.formats.openai_chat.schema import ChatCompletion, ChatCompletionRequest
from bodhi_asgi.http.answers import answer_frames
from bodhi_asgi.http.errors import error_frame
from bodhi_asgi.http.route import Call, Dialect, Route
from bodhi_asgi.http.stream import EventStream
from bodhi_asgi.wire.logprobs import size_of


async def complete(call: Call) -> Response | EventStream:
    """Answer a conversation, whole or as a stream of chunks that ends with ``[DONE]``."""
    asked = await call.asked(decode)
    created = int(call.services.clock.now().timestamp())
    model = asked.request.model
    if asked.stream:
        answer = await call.services.inference.stream(call.caller, asked.request)
        encoder = ChunkEncoder(
            request_id=call.request_id,
            model=model,
            created=created,
            include_usage=asked.include_usage,
            is_legacy=asked.is_legacy,
        )
        return EventStream(answer_frames(answer, encoder.encode), error_frame(Dialect.OPENAI), answer.aclose)
    reply = await call.services.inference.complete(call.caller, asked.request)
    make = partial(to_json, reply, request_id=call.request_id, model=model, created=created, is_legacy=asked.is_legacy)
    return Response(await call.services.desk.encode(make, size=size_of(reply)), media_type="application/json")


ROUTES = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        name="chat",
        summary="Answer a conversation",
        tag="inference",
        access=Scope.INFERENCE,
        handler=complete,
        dialect=Dialect.OPENAI,
        request=ChatCompletionRequest,
        response=ChatCompletion,
        streams=True,
        errors=frozenset({Kind.NOT_FOUND, Kind.QUARANTINED, Kind.BUSY, Kind.UNAVAILABLE}),
    ),
)
