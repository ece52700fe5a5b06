"""One host's connection, seen from the engine: handshake, then requests. Whatever it breaks, only it is closed."""

import asyncio
import logging
import os
import secrets
from typing import Any, Final, Protocol, cast

from bodhi_asgi import __version__
from bodhi_asgi.engine.process.frames import FrameInvalid, FrameReader, Message, encode
from bodhi_asgi.engine.process.peer import peer_uid
from bodhi_asgi.engine.process.plain import PlainInvalid
from bodhi_asgi.engine.process.protocol import (
    NONCE_BYTES,
    PROTOCOL_VERSION,
    proof,
    proof_holds,
    unload_reason,
    work_from_plain,
)
from bodhi_asgi.engine.process.sender import Sender
from bodhi_asgi.engine.types import Job, UnloadReason

HANDSHAKE_S: Final = 5.0

log = logging.getLogger(__name__)


class Server(Protocol):
    """What a session asks of the engine process."""

    secret: bytes
    key: str
    launch: str

    def joined(self, session: "Session") -> None:
        """The handshake is done."""
        ...

    def left(self, session: "Session") -> bool:
        """The host is gone; end its requests. Whether the engine leaves with it at once."""
        ...

    def submit(self, session: "Session", request_id: int, work: Job, *, alone: bool) -> None:
        """Take a request."""
        ...

    def cancel(self, session: "Session", request_id: int) -> None:
        """End a request, if it is still there."""
        ...

    def credit(self, session: "Session", request_id: int, chunks: int) -> None:
        """Its reader has taken so many chunks."""
        ...

    def answer(self, operation: str) -> Message:
        """The answer to ``ping``, ``stats`` or ``describe``."""
        ...

    def keep(self, keep_alive_s: float) -> None:
        """Stay loaded for so long without work, from now on."""
        ...

    def retire(self, reason: UnloadReason, *, force: bool) -> bool:
        """Unload and leave, unless that would interrupt somebody. Whether it does."""
        ...


class Session(asyncio.Protocol):
    """Reads frames in order; a malformed one, or one out of order, ends the connection without a word."""

    _transport: asyncio.Transport
    _sender: Sender

    def __init__(self, server: Server, number: int) -> None:
        self.number = number
        self.linger_s = 0.0
        self.is_visitor = False
        """It looks and asks, and is no host: the engine neither stays nor leaves because of it."""
        self._server = server
        self._reader = FrameReader()
        self._nonce = secrets.token_hex(NONCE_BYTES)
        self._known = False
        self._handshake: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one without saying so
        if peer_uid(self._transport.get_extra_info("socket")) != os.getuid():
            self._transport.abort()
            return
        self._sender = Sender(self._transport.get_extra_info("socket"))
        self._handshake = asyncio.get_running_loop().call_later(HANDSHAKE_S, self._transport.abort)
        self.send({"op": "challenge", "nonce": self._nonce, "protocol": PROTOCOL_VERSION, "version": __version__})

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                if self._transport.is_closing():
                    return
                self._take(message)
        except (FrameInvalid, PlainInvalid, LookupError, TypeError, ValueError) as error:
            log.warning("a connection to the engine was malformed: %s", type(error).__name__)
            self._transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._sender.close()
        self._leave()

    def send(self, message: Message) -> None:
        """Write a message as one frame."""
        self.write(encode(message))

    def write(self, frame: bytes) -> None:
        """Write a frame as it is. Thread-safe."""
        if not self._transport.is_closing():
            self._sender.write(frame)

    def close(self) -> None:
        """Close once everything written has gone out."""
        self._sender.when_empty(self._transport.close)

    def _leave(self) -> bool:
        known, self._known = self._known, False
        return known and self._server.left(self)

    def _take(self, message: Message) -> None:
        operation = message["op"]
        if not self._known:
            self._greet(operation, message)
            return
        match operation:
            case "submit":
                work = work_from_plain(message["work"])
                if self.is_visitor:
                    raise ValueError("a request of somebody who only looks")
                self._server.submit(self, _number(message["id"]), work, alone=bool(message["alone"]))
            case "credit":
                self._server.credit(self, _number(message["id"]), _number(message["chunks"]))
            case "cancel":
                self._server.cancel(self, _number(message["id"]))
            case "ping" | "stats" | "describe":
                self.send({**self._server.answer(operation), "id": _number(message["id"])})
            case "keep":
                self._server.keep(float(message["keep_alive_s"]))
                self.send({"op": "kept", "id": _number(message["id"])})
            case "retire":
                reason = unload_reason(message["reason"])
                accepted = self._server.retire(reason, force=bool(message["force"]))
                self.send({"op": "retired", "id": _number(message["id"]), "accepted": accepted})
            case "bye":
                number = _number(message["id"])
                self.send({"op": "bye", "id": number, "leaving": self._leave()})
                self.close()
            case _:
                raise ValueError("an unknown operation")

    def _greet(self, operation: Any, message: Message) -> None:
        if operation != "hello":
            raise ValueError("an operation before the handshake")
        server, nonce = self._server, str(message["nonce"])
        expected = proof(server.secret, "host", nonce, self._nonce, server.key)
        if not proof_holds(message["proof"], expected):
            self.send({"op": "refused"})
            self.close()
            return
        assert self._handshake is not None
        self._handshake.cancel()
        self._known = True
        self.linger_s = float(message["linger_s"])
        self.is_visitor = bool(message.get("visits", False))
        answer = proof(server.secret, "engine", nonce, self._nonce, server.key)
        self.send({"op": "welcome", "proof": answer, "launch": server.launch})
        server.joined(self)


def _number(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("an id or a count that is no natural number")
    return value
