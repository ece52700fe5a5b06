"""What guesses of next tokens gain: text that repeats its prompt, and text that does not, with and without them.

The demo model copies what it was told. The model of random weights, in the full form, copies nothing: it shows what is
lost to guesses that do not come true. *same* is the share of answers that are those without guesses to the letter: all
of them in full precision; with quantised weights llama.cpp rounds for each shape of a batch, and near ties fall
differently, as they do between any two requests that share a step.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.interleave import Contender, Figures, Outcome, Report, compared, interleave, limits, parser
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import ModelSpec, Speculation, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.gguf_files import write_full_precision

SPEED: Final = "tokens_per_s"
SAME: Final = "same"
PLAIN: Final = "no guesses"
LOOKUP: Final = "lookup"
ITSELF: Final = "draft model"
LEAST: Final = 1.2
TOKENS: Final = 128
WORDS: Final = "green tiger blue river red stone yellow cloud"
TEXTS: Final = {
    "copying": f"Repeat after me: {WORDS} {WORDS}",
    "not copying": "Tell me about yourself",
}


@asynccontextmanager
async def engines(path: Path, slots: int) -> AsyncIterator[dict[str, ThreadEngine]]:
    """One engine of each kind. The model drafts for itself, which shows what is lost to a draft that is never wrong."""
    plain = ModelSpec("m", str(path), n_ctx=2048, slots=slots)
    specs = {
        PLAIN: plain,
        LOOKUP: replace(plain, speculation=Speculation("lookup", 16)),
        ITSELF: replace(plain, speculation=Speculation("model", 6, str(path))),
    }
    made = {name: ThreadEngine(spec) for name, spec in specs.items()}
    try:
        for engine in made.values():
            await engine.start()
        yield made
    finally:
        for engine in made.values():
            await engine.aclose()


async def told(engine: ThreadEngine, text: str) -> tuple[str, int]:
    """A greedy answer, and how many tokens it has."""
    prompt = ChatPrompt((Message(Role.USER, text),))
    request = GenerateRequest("m", prompt, Sampling(temperature=0), max_tokens=TOKENS)
    pieces, tokens = [], 0
    async for delta in engine.submit(Work(new_id(), request)):
        pieces.append(delta.text)
        tokens = delta.usage.completion_tokens if delta.usage else tokens
    return "".join(pieces), tokens


async def measure(engine: ThreadEngine, text: str, expected: str, repeats: int) -> Figures:
    """Tokens per second of ``repeats`` answers in a row, and the share of them that are as expected."""
    began, tokens, same = time.monotonic(), 0, 0
    for _ in range(repeats):
        answer, count = await told(engine, text)
        tokens += count
        same += answer == expected
    return {SPEED: tokens / (time.monotonic() - began), SAME: same / repeats}


def verdicts(outcome: Outcome, *, is_copied: bool, is_exact: bool) -> str:
    """Pass or miss of each bar that this table has."""
    words = ""
    if is_copied:
        ratio = outcome.ratio(LOOKUP, PLAIN, SPEED)
        words += f"\n\n{'pass' if ratio.median >= LEAST else 'MISS'}: {LOOKUP} / {PLAIN} {ratio}, at least {LEAST}"
    if is_exact:
        least = min(outcome.of(kind, SAME).low for kind in (LOOKUP, ITSELF))
        words += f"\n\n{'pass' if least == 1 else 'MISS'}: {least:.0%} of the answers are those without guesses"
    return words


async def main(folder: Path) -> None:
    options = parser("What guesses of next tokens gain.", rounds=3, full_rounds=7)
    asked = options.parse_args()
    exact = write_full_precision(DEMO_MODEL_PATH, folder / "demo-f32.gguf")
    models = {"tiny": (DEMO_MODEL_PATH, 12), "tiny in 32 bits": (exact, 12)}
    models |= {"q4": (random_model(), 1)} if asked.full else {}
    report = Report(as_json=asked.json)
    for model, (path, repeats) in models.items():
        async with engines(path, slots=1) as made:
            for name, text in TEXTS.items():
                # The second time, as all that are compared, it finds the beginning of its prompt computed already.
                _, (expected, _) = await told(made[PLAIN], text), await told(made[PLAIN], text)
                contenders = [
                    Contender(kind, partial(measure, engine, text, expected, repeats)) for kind, engine in made.items()
                ]
                outcome = await interleave(contenders, limits(asked))
                words = compared(outcome, PLAIN, SPEED)
                words += (
                    verdicts(outcome, is_copied=name == "copying" and model != "q4", is_exact=path == exact)
                    if outcome.rounds
                    else ""
                )
                report.add(f"{model}, {name}", outcome, words)
    report.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as made:
        asyncio.run(main(Path(made)))
