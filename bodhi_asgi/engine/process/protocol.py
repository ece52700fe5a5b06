"""What is said over the engine's socket: the operations, the handshake, and how values and errors travel.

Host to engine: ``hello, submit, cancel, credit, ping, stats, describe, keep, retire, bye``. Engine to host:
``challenge, welcome, loading, facts, failed, started, chunks, pong, stats, description, kept, retired, leaving, bye``.
A change of any of it is a new ``PROTOCOL_VERSION``, and with it another runtime directory: versions never meet on one
socket.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast, get_args

import orjson

from bodhi_asgi import errors as shared_errors
from bodhi_asgi.engine import errors as engine_errors
from bodhi_asgi.engine.process.frames import FrameTooLarge, Message, encode
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.types import Chunk, Job, ModelSpec, UnloadReason
from bodhi_asgi.errors import BodhiError, Broken, MissingDependency
from bodhi_asgi.messages.answers import FinishReason, Logprobs, Part, TokenIds, TokenLogprob, Usage, Vectors

PROTOCOL_VERSION: Final = 10

CREDITS: Final = 32
"""Chunks that may be under way to one reader before its sequence is paused."""

HANDY_BYTES: Final = 64 * 1024
"""Several chunks that take more are spread over frames, so that a host's event loop has its turns between them."""

NONCE_BYTES: Final = 32

Row = list[Any]


def proof(secret: bytes, speaker: str, host_nonce: str, engine_nonce: str, spec_key: str) -> str:
    """What only a holder of the launch's secret can say. ``speaker`` keeps one side from echoing the other."""
    text = "\n".join(("bodhi", str(PROTOCOL_VERSION), speaker, host_nonce, engine_nonce, spec_key))
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def proof_holds(claimed: object, expected: str) -> bool:
    """Compare in constant time; anything that is no ASCII text does not hold."""
    return isinstance(claimed, str) and claimed.isascii() and hmac.compare_digest(claimed, expected)


def fingerprint(spec: ModelSpec, request: object) -> str:
    """The same request to the same model has the same fingerprint; see quarantine.

    Text that is no valid Unicode is fingerprinted by its escapes, because orjson refuses it.
    """
    try:
        body = orjson.dumps([spec, request])
    except orjson.JSONEncodeError:
        body = repr((spec, request)).encode("utf-8", "backslashreplace")
    return hashlib.sha256(body).hexdigest()


def work_from_plain(data: object) -> Job:
    """A submitted request of any kind. Raises :class:`~bodhi_asgi.engine.process.plain.PlainInvalid`."""
    job: Job = from_plain(Job, data)  # type: ignore[arg-type]  # a union is a shape too
    return job


def unload_reason(data: object) -> UnloadReason:
    """Why an engine leaves. Raises ValueError for what is none of the reasons."""
    if data not in get_args(UnloadReason):
        raise ValueError("an unknown reason to leave")
    return cast("UnloadReason", data)


def chunk_to_row(request_id: int, chunk: Chunk) -> Row:
    """A chunk as ``[id, text]``, or ``[id, text, rest]`` with the parts that only some chunks have by their names."""
    rest: Message = {}
    if chunk.error is not None:
        rest["error"] = error_to_plain(chunk.error)
    if chunk.finish is not None:
        rest["finish"] = chunk.finish
        rest["usage"] = chunk.usage or Usage()
    if chunk.opening:
        rest["opening"] = chunk.opening
    if chunk.part is not None:
        rest["part"] = _part_to_plain(chunk.part)
    return [request_id, chunk.text, rest] if rest else [request_id, chunk.text]


def chunk_frames(rows: list[Row]) -> list[bytes]:
    """The frame that carries ``rows``; several where one would be over the limit, or hold up who reads it.

    Text that is no valid Unicode is mended, and a single chunk that fits no frame becomes an error, so that no answer
    of one request can keep those of others from leaving.
    """
    try:
        frame = encode({"op": "chunks", "rows": rows})
        if len(frame) <= HANDY_BYTES or len(rows) == 1:
            return [frame]
        middle = len(rows) // 2
        return chunk_frames(rows[:middle]) + chunk_frames(rows[middle:])
    except FrameTooLarge:
        if len(rows) == 1:
            too_large = Chunk("", error=Broken("the model's answer holds a piece that is too large to pass on"))
            return chunk_frames([chunk_to_row(rows[0][0], too_large)])
        middle = len(rows) // 2
        return chunk_frames(rows[:middle]) + chunk_frames(rows[middle:])
    except orjson.JSONEncodeError:
        return chunk_frames([[row[0], row[1].encode("utf-8", "replace").decode(), *row[2:]] for row in rows])


def chunk_from_row(row: Row) -> Chunk:
    """The reverse of :func:`chunk_to_row`, with the request id as text.

    Raises ValueError, TypeError, KeyError, :class:`~bodhi_asgi.engine.process.plain.PlainInvalid`.
    """
    work_id, text, *rest = row
    return Chunk(str(work_id), str(text), **(_rest_from_plain(*rest) if rest else {}))


def _rest_from_plain(data: Message) -> Message:
    if unknown := data.keys() - _PARTS.keys():
        raise ValueError(f"a chunk has no {sorted(unknown)}")
    return {name: _PARTS[name](value) for name, value in data.items()}


def _part_to_plain(part: Part) -> Message:
    if isinstance(part, Vectors):
        return {"width": part.width, "data": base64.b64encode(part.data).decode("ascii")}
    if isinstance(part, Logprobs):
        return {"scored": [_scored_to_plain(one) for one in part.tokens]}
    return {"ids": part.ids, "pieces": part.pieces}


def _part_from_plain(data: Message) -> Part:
    if "width" in data:
        return Vectors(int(data["width"]), base64.b64decode(data["data"], validate=True))
    if "scored" in data:
        return Logprobs(tuple(_scored_from_plain(*one) for one in data["scored"]))
    return from_plain(TokenIds, data)


def _scored_to_plain(one: TokenLogprob) -> list[Any]:
    # Every byte is a character of Latin 1, and most are the same one in JSON.
    return [one.token, one.piece.decode("latin-1"), one.logprob, [_scored_to_plain(other) for other in one.top]]


def _scored_from_plain(token: int, piece: str, logprob: float | None, top: list[Any]) -> TokenLogprob:
    alternatives = tuple(_scored_from_plain(*other) for other in top)
    value = None if logprob is None else float(logprob)
    return TokenLogprob(int(token), piece.encode("latin-1"), value, alternatives)


def error_to_plain(error: BodhiError) -> Message:
    """An error by its code, so that it arrives as the same class."""
    return {
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "retry_after_s": error.retry_after_s,
        "params": error.params,
    }


def error_from_plain(data: Message) -> BodhiError:
    """The error again. A code this version does not know becomes :class:`~bodhi_asgi.errors.Broken`."""
    kind = _ERRORS.get(data["code"], Broken)
    params = dict(data["params"])
    error = kind.__new__(kind)
    BodhiError.__init__(error, data["message"], param=data["param"], retry_after_s=data["retry_after_s"], **params)
    if isinstance(error, MissingDependency):
        error.extra = str(params["extra"])
    return error


def _errors_by_code() -> dict[str, type[BodhiError]]:
    # The engine's own errors come second and win where a code names both a kind and the engine's case of it.
    found: dict[str, type[BodhiError]] = {}
    for module in (shared_errors, engine_errors):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, BodhiError):
                if module is engine_errors and value.__module__ != engine_errors.__name__:
                    continue
                found[value.code] = value
    return found


_ERRORS: Final = _errors_by_code()

_PARTS: Final[Mapping[str, Callable[[Any], object]]] = {
    "error": error_from_plain,
    "finish": FinishReason,
    "usage": partial(from_plain, Usage),
    "part": _part_from_plain,
    "opening": str,
}
