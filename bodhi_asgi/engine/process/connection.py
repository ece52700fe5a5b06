"""One host's connection to one engine process: handshake, then many requests over one socket.

It ends exactly once, with a :class:`ConnectionLost` that every request on it receives; what to do about that is the
supervisor's and the client's affair.
"""

import asyncio
import logging
import os
import secrets
from collections.abc import Callable
from typing import Any, Final, cast

import orjson

from bodhi_asgi import __version__
from bodhi_asgi.engine.errors import PromptInvalid
from bodhi_asgi.engine.process.frames import FrameInvalid, FrameReader, FrameTooLarge, Message, encode
from bodhi_asgi.engine.process.peer import peer_pid, peer_uid
from bodhi_asgi.engine.process.plain import PlainInvalid, from_plain
from bodhi_asgi.engine.process.protocol import (
    NONCE_BYTES,
    PROTOCOL_VERSION,
    chunk_from_row,
    error_from_plain,
    proof,
    proof_holds,
    unload_reason,
)
from bodhi_asgi.engine.process.reading import ConnectionLost, EngineSilent, Reading
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.process.watch import Watch
from bodhi_asgi.engine.types import Job, ModelFacts, UnloadReason
from bodhi_asgi.errors import TooLarge

HANDSHAKE_S: Final = 4.0

LATE: Final = 1.5
"""So many times that, and it was this host's event loop that did not answer."""

READ_BYTES: Final = 65_536

log = logging.getLogger(__name__)


class EngineConnection(asyncio.Protocol):
    """Made by :meth:`open`; used in one event loop. ``loading`` is told how much of the model is loaded."""

    _transport: asyncio.Transport

    def __init__(
        self, paths: EnginePaths, linger_s: float, *, visits: bool, loading: Callable[[float], None] | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self.pid = 0
        """As the kernel numbers it here, which is what signals go by; 0 when it lives in another container."""
        self.launch = ""
        self.facts: asyncio.Future[ModelFacts] = loop.create_future()
        """The model's facts once it stands. Fails with the engine's own error, or with ConnectionLost."""
        self.lost: asyncio.Future[ConnectionLost] = loop.create_future()
        self.has_joined = False
        """Whether the engine has taken this host in; one that is about to leave does not."""
        self.watch = Watch(self)
        self._paths = paths
        self._linger_s = linger_s
        self._visits = visits
        self._loading = loading
        self._frames = FrameReader()
        self._nonce = secrets.token_hex(NONCE_BYTES)
        self._expected = ""
        self._welcome: asyncio.Future[None] = loop.create_future()
        self._readings: dict[int, Reading] = {}
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._numbers = 0
        self._why = ""
        self._in_order: UnloadReason | None = None
        self._ear: int | None = None

    @classmethod
    async def open(
        cls,
        paths: EnginePaths,
        linger_s: float = 0.0,
        *,
        visits: bool = False,
        loading: Callable[[float], None] | None = None,
    ) -> "EngineConnection":
        """Connect and shake hands; who ``visits`` wants nothing loaded and keeps nobody.

        Raises OSError when nobody listens, EngineSilent when who listens says nothing, ConnectionLost when the
        handshake fails.
        """
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(
            lambda: cls(paths, linger_s, visits=visits, loading=loading), str(paths.socket)
        )
        asked_at_s = loop.time()
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await connection._welcome
        except TimeoutError:
            connection.abort()
            if loop.time() - asked_at_s > HANDSHAKE_S * LATE:
                raise ConnectionLost("this process's own event loop was held up during the handshake") from None
            raise EngineSilent(connection.pid) from None
        except BaseException:
            connection.abort()
            raise
        return connection

    @property
    def is_loaded(self) -> bool:
        """Whether the engine has said how the loading went."""
        return self.facts.done()

    @property
    def is_awaited(self) -> bool:
        """Whether this host waits for the model, or for an answer."""
        return not self.lost.done() and (not (self.is_loaded or self._visits) or bool(self._readings))

    # -- requests

    def submit(self, work: Job, *, alone: bool) -> Reading:
        """Send a request. Raises ConnectionLost, and TooLarge or PromptInvalid for one that cannot be sent."""
        if self.lost.done():
            raise self.lost.result()
        number = self._number()
        try:
            frame = encode({"op": "submit", "id": number, "work": work, "alone": alone})
        except FrameTooLarge:
            raise TooLarge("the request is too large for the engine; send less text", param="messages") from None
        except orjson.JSONEncodeError:
            raise PromptInvalid("the request holds text that is not valid Unicode", param="messages") from None
        reading = self._readings[number] = Reading(self, number)
        self._transport.write(frame)
        self.watch.rouse()
        return reading

    def forget(self, number: int, *, cancel: bool) -> None:
        """Stop listening to a request, and have it ended."""
        if self._readings.pop(number, None) is not None and cancel:
            self.send({"op": "cancel", "id": number})

    async def ask(self, operation: str, **more: object) -> Message:
        """One question of the protocol, from ``ping`` to ``bye``, and its one answer. Raises ConnectionLost."""
        if self.lost.done():
            raise self.lost.result()
        number = self._number()
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self.send({"op": operation, "id": number, **more})
            return await answer
        finally:
            del self._answers[number]

    def send(self, message: Message) -> None:
        """Write a message, unless the connection has ended."""
        if not self._transport.is_closing():
            self._transport.write(encode(message))

    def abort(self) -> None:
        """End the connection now."""
        self._transport.abort()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        socket = self._transport.get_extra_info("socket")
        try:
            self._ear = os.dup(socket.fileno())
            self.pid = peer_pid(socket)
            is_ours = peer_uid(socket) == os.getuid()
        except OSError as error:
            self._break(f"the engine's socket cannot be used ({error.strerror})")
            return
        if not is_ours:
            self._break("the engine's socket is served by another user")

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                if self._transport.is_closing():
                    return
                self._take(message)
        except (FrameInvalid, PlainInvalid, LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("the engine sent a malformed frame", extra={"pid": self.pid, "error": type(error).__name__})
            self._break("the engine sent a malformed frame")

    def connection_lost(self, _: Exception | None) -> None:
        self.watch.end()
        self._hear_what_is_left()
        place = "" if self._frames.is_between_frames else " in the middle of a frame"
        lost = ConnectionLost(self._why or f"the engine process ended{place}", in_order=self._in_order)
        self.lost.set_result(lost)
        futures: list[asyncio.Future[Any]] = [self._welcome, self.facts, *self._answers.values()]
        for future in futures:
            if not future.done():
                future.set_exception(lost)
                future.exception()  # looked at, so that nobody is told of one that nobody awaits
        for reading in self._readings.values():
            reading.lose(lost)
        self._readings.clear()

    def _hear_what_is_left(self) -> None:
        """Read what the engine said before it died: a write that fails first would lose it, and with it who began."""
        if self._ear is None:
            return
        try:
            while not self._why and (data := os.read(self._ear, READ_BYTES)):
                for message in self._frames.feed(data):
                    self._take(message)
        except (OSError, FrameInvalid, PlainInvalid, LookupError, TypeError, ValueError, AttributeError):
            pass  # nothing more, or nothing that makes sense
        finally:
            os.close(self._ear)

    def _break(self, why: str) -> None:
        self._why = why
        self._transport.abort()

    # -- what the engine says

    def _take(self, message: Message) -> None:
        match message["op"]:
            case "chunks":
                for row in message["rows"]:
                    if reading := self._readings.get(row[0]):
                        reading.put(chunk_from_row(row))
            case "started":
                if reading := self._readings.get(message["id"]):
                    reading.has_started = True
            case "pong" | "stats" | "description" | "kept" | "retired" | "bye":
                answer = self._answers.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
            case "leaving":
                self._in_order = unload_reason(message["reason"])
            case "loading":
                self.has_joined = True
                if self._loading is not None:
                    self._loading(float(message["fraction"]))
            case "facts":
                self._settle(self.facts, from_plain(ModelFacts, message["facts"]))
            case "failed":
                if not self.facts.done():
                    self.facts.set_exception(error_from_plain(message["error"]))
                    self.facts.exception()
            case "challenge":
                self._answer_challenge(message)
            case "welcome":
                self._welcomed(message)
            case "refused":
                self._break("the engine refused this process")
            case _:
                raise ValueError("an unknown operation")

    def _answer_challenge(self, message: Message) -> None:
        if (message["protocol"], message["version"]) != (PROTOCOL_VERSION, __version__):
            self._break("the engine speaks another version")
            return
        try:
            # Read after connecting: the engine wrote it before it bound the socket, so it cannot be an earlier one's.
            secret = self._paths.secret.read_bytes()
        except OSError:
            self._break("the engine withdrew its secret while this process connected")
            return
        theirs, key = str(message["nonce"]), self._paths.key
        self._expected = proof(secret, "engine", self._nonce, theirs, key)
        own = proof(secret, "host", self._nonce, theirs, key)
        hello = {"op": "hello", "nonce": self._nonce, "proof": own, "linger_s": self._linger_s}
        self.send({**hello, "visits": self._visits})

    def _welcomed(self, message: Message) -> None:
        if not self._expected or not proof_holds(message["proof"], self._expected):
            self._break("what serves the engine's socket does not know the secret")
            return
        self.launch = str(message["launch"])
        self._settle(self._welcome, None)
        self.watch.rouse()

    @staticmethod
    def _settle(future: "asyncio.Future[Any]", value: object) -> None:
        if not future.done():
            future.set_result(value)
