"""A server in a Python that has as little of POSIX as the one of Windows. Run as a process of its own."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None  # type: ignore[assignment]
for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_DIRECTORY", "O_CLOEXEC", "getuid", "fchmod", "pread", "pwrite", "sysconf"):
    delattr(os, name)
os.supports_dir_fd.clear()

from bodhi_asgi import BodhiServer  # noqa: E402  what is above comes first
from bodhi_asgi.cli.app import bodhi  # noqa: E402, F401
from bodhi_asgi.errors import BodhiError  # noqa: E402
from tests.hub.server import Hub, serving_hub  # noqa: E402

FILE = "model-Q8_0.gguf"


async def main(folder: Path) -> None:
    """Chat, pull a model, chat with it, and fail to do what cannot be done."""
    from bodhi_asgi.demo_model import DEMO_MODEL_PATH

    hub = Hub()
    hub.add("owner/repo", {FILE: DEMO_MODEL_PATH})
    async with serving_hub(hub) as endpoint:
        settings: dict[str, Any] = {
            "data_dir": folder / "data",
            "hub": {"endpoint": endpoint, "cache_dir": folder / "cache"},
            "models": {"parrot": "parrot"},
        }
        async with BodhiServer(**settings, engine={"isolation": "thread", "runner": "echo"}) as server:
            print(await said(server, "parrot"))
            print((await (await server.pull_model("owner/repo")).wait()).state)
            print(await said(server, "owner/repo:Q8_0"))
            await server.unload_model("owner/repo:Q8_0")
            print(await refused(server.delete_model_file("owner/repo", FILE)))
    print(await refused(BodhiServer(**settings, engine={"isolation": "process"}).start()))


async def said(server: BodhiServer, model: str) -> str:
    """What a model says to a word."""
    question = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return str((await server.chat_completion(question)).choices[0].message.content)


async def refused(call: Any) -> str:
    """How a call is refused."""
    try:
        await call
    except BodhiError as error:
        return f"{error.code}: {error.message}"
    return "it was not"


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
