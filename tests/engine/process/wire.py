"""The engine's socket frame by frame, for tests that say what no host of ours would say."""

import asyncio
from pathlib import Path
from typing import Any

from bodhi_asgi.engine.process.frames import FrameReader, encode
from bodhi_asgi.engine.process.protocol import proof
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import ModelSpec
from tests.engine.process.support import ECHO, paths_of


class Wire:
    """A connection to the engine, frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, paths: EnginePaths) -> None:
        self._paths = paths
        self._reader = reader
        self._writer = writer
        self._frames = FrameReader()
        self._heard: list[dict[str, Any]] = []

    @classmethod
    async def open(cls, runtime_dir: Path, spec: ModelSpec = ECHO) -> "Wire":
        paths = paths_of(runtime_dir, spec)
        return cls(*await asyncio.open_unix_connection(str(paths.socket)), paths)

    async def hear(self, operation: str) -> dict[str, Any]:
        """The next message of that name; EOFError when the engine hangs up first."""
        async with asyncio.timeout(20):
            while True:
                while self._heard:
                    if (message := self._heard.pop(0))["op"] == operation:
                        return message
                try:
                    data = await self._reader.read(65536)
                except ConnectionResetError:
                    data = b""
                if not data:
                    raise EOFError
                self._heard += self._frames.feed(data)

    def say(self, message: object) -> None:
        self._writer.write(encode(message))

    def say_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def shake_hands(self, **changed: object) -> None:
        challenge = await self.hear("challenge")
        own = proof(self._paths.secret.read_bytes(), "host", "n", challenge["nonce"], self._paths.key)
        self.say({"op": "hello", "nonce": "n", "proof": own, "linger_s": 0, **changed})
        await self.hear("welcome")

    async def is_hung_up(self) -> bool:
        try:
            await self.hear("nothing of the kind")
        except EOFError:
            return True
        return False

    async def close(self) -> None:
        self._writer.close()


async def requests_under_way(runtime_dir: Path, spec: ModelSpec = ECHO) -> int:
    """How many requests the engine knows of, those at its door included."""
    wire = await Wire.open(runtime_dir, spec)
    await wire.shake_hands(linger_s=60)
    wire.say({"op": "describe", "id": 1})
    found: int = (await wire.hear("description"))["requests"]
    await wire.close()
    return found
