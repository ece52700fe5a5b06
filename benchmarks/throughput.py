"""Answers in parallel, through the whole direct door, against llama-cpp-python's own `Llama` one after the other.

Both generate the same number of tokens with the demo model. The ratio says what the engine's process, its batching and
our layers cost or gain together: over 1 is a gain.
"""

import asyncio
import os
import time
from tempfile import TemporaryDirectory
from typing import Any

REQUESTS = 16
TOKENS = 128
QUESTION: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Tell me about yourself."}],
    "max_tokens": TOKENS,
    "temperature": 1.0,
}


async def ours() -> float:
    """Tokens per second of all answers together."""
    from bodhi_asgi import BodhiServer

    with TemporaryDirectory() as folder:
        async with BodhiServer(data_dir=folder, database_url="sqlite://") as bodhi:

            async def ask(seed: int) -> int:
                reply = await bodhi.chat_completion({"model": "demo", **QUESTION, "seed": seed}, stream=False)
                return int(reply.usage.completion_tokens)

            await ask(0)  # loads the model
            started = time.perf_counter()
            tokens = sum(await asyncio.gather(*(ask(seed) for seed in range(REQUESTS))))
            return tokens / (time.perf_counter() - started)


def theirs() -> float:
    """The same from a plain loop over the library's high-level interface."""
    import llama_cpp

    from bodhi_asgi.demo_model import DEMO_MODEL_PATH

    model = llama_cpp.Llama(str(DEMO_MODEL_PATH), n_ctx=1024, n_threads=1, verbose=False)
    model.create_chat_completion(**QUESTION, seed=0)
    started = time.perf_counter()
    replies = [model.create_chat_completion(**QUESTION, seed=seed) for seed in range(REQUESTS)]
    return sum(reply["usage"]["completion_tokens"] for reply in replies) / (time.perf_counter() - started)


def main() -> None:
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    mine, peer = asyncio.run(ours()), theirs()
    print(f"bodhi_asgi, {REQUESTS} at once: {mine:8.0f} tokens/s")
    print(f"llama_cpp.Llama, one by one: {peer:8.0f} tokens/s")
    print(f"bodhi_asgi / llama_cpp.Llama: {mine / peer:.2f}")


if __name__ == "__main__":
    main()
