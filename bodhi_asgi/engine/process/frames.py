"""The wire of the engine's socket: each frame is a 4-byte big-endian length and one JSON object, at most 24 MiB.

Sans input or output: bytes in, objects out. Anything else than a well-formed frame ends the connection it came on, and
only that one. JSON and nothing richer, because what arrives comes from a process that reads hostile files.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import orjson

FRAME_BYTES: Final = 24 * 1024 * 1024
"""The largest body of a frame, in both directions: the images and the text of a request fit."""

HEADER: Final = struct.Struct(">I")

Message: TypeAlias = dict[str, Any]


class FrameInvalid(Exception):
    """The bytes are no frame: too long, no JSON, or no object. The connection cannot be read on."""


class FrameTooLarge(Exception):
    """The message does not fit a frame; nothing was sent."""


def encode(message: object) -> bytes:
    """One frame. Dataclasses and enumerations are written as plain objects and strings.

    Raises FrameTooLarge, and :class:`orjson.JSONEncodeError` for text that is no valid Unicode.
    """
    body = orjson.dumps(message)
    if len(body) > FRAME_BYTES:
        raise FrameTooLarge(f"a frame of {len(body)} bytes is over the limit of {FRAME_BYTES}")
    return HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into messages, wherever the pieces were cut before."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_between_frames(self) -> bool:
        """Whether the bytes so far end with a whole frame; at the end of a connection anything else is a half frame."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Message]:
        """Take the next bytes and yield the messages they complete; FrameInvalid comes after those before the fault."""
        buffer = self._buffer
        buffer += data
        start = 0
        try:
            while len(buffer) - start >= HEADER.size:
                (length,) = HEADER.unpack_from(buffer, start)
                if length > FRAME_BYTES:
                    raise FrameInvalid(f"a frame announces {length} bytes, over the limit of {FRAME_BYTES}")
                end = start + HEADER.size + length
                if len(buffer) < end:
                    break
                body = bytes(buffer[start + HEADER.size : end])
                start = end
                yield _message(body)
        finally:
            del buffer[:start]


def _message(body: bytes) -> Message:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise FrameInvalid("a frame holds no JSON") from error
    if not isinstance(message, dict):
        raise FrameInvalid("a frame holds JSON that is no object")
    return message
