"""What a form costs per token: against the same model without one, and against llama.cpp's own grammar.

Two tables. The first asks the matcher alone, on a vocabulary of 151,936 tokens without a model: how long until a
schema is compiled, for a mask, for the question about one token. The second asks whole servers for answers of one
length, with a schema and without, in the same run; the bar is 5 % of a token's time on the 0.5B model.
"""

import asyncio
import itertools
import json
import random
import time
from functools import partial
from typing import Any, Final

import numpy as np
from llguidance import LLTokenizer, TokenizerWrapper

from benchmarks.interleave import Contender, Figures, Outcome, Report, compared, interleave, limits, parser, table
from benchmarks.peers import HTTP, LLAMA_SERVER, PROCESS, XLLAMACPP, Peer, Task, started
from benchmarks.random_model import QWEN_HALF_BILLION, byte_alphabet, random_model, vocabulary
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.constraints.matcher import GrammarCompiler
from bodhi_asgi.engine.constraints.translate import grammar_of
from bodhi_asgi.messages.generation import Constraint, ConstraintKind
from bodhi_asgi.types import JSONObject

TOKENS: Final = 64
WALK: Final = 200
TOKEN_MS: Final = "ms a token"
MOST_OVERHEAD: Final = 0.05
CONTROL_BYTE: Final = b"\xff"

WORDS: Final[JSONObject] = {"type": "string", "minLength": 2_000}
"""So long that no answer ends before its tokens are counted."""


def simple() -> JSONObject:
    return _object({"name": {"type": "string", "maxLength": 5}, "text": WORDS})


def deep() -> JSONObject:
    inner: JSONObject = WORDS
    for level in range(12):
        inner = _object({"level": {"const": level}, "inner": inner})
    return inner


def wide() -> JSONObject:
    return _object({f"property_{index}": {"type": "integer"} for index in range(200)})


def _object(properties: JSONObject) -> JSONObject:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


SCHEMAS: Final = {"simple": simple(), "deep": deep(), "200 properties": wide()}


class Words:
    """The vocabulary of the random model, for llguidance."""

    def __init__(self) -> None:
        texts, _, _ = vocabulary(QWEN_HALF_BILLION.vocabulary)
        letters = {letter: byte for byte, letter in enumerate(byte_alphabet())}
        self.tokens = [
            CONTROL_BYTE + text.encode() if text.startswith("<|") else bytes(letters[letter] for letter in text)
            for text in texts
        ]
        self.eos_token_id = len(texts) - 1
        self.bos_token_id = None
        self.special_token_ids = [index for index, text in enumerate(texts) if text.startswith("<|")]

    def __call__(self, text: bytes) -> list[int]:
        return list(text)


def matcher_rows() -> tuple[dict[str, Any], list[list[str]]]:
    """Compiles and walks each schema by chance."""
    words = Words()
    began = time.perf_counter()
    tokenizer = LLTokenizer(TokenizerWrapper(words))
    figures: dict[str, Any] = {"tokenizer, s": round(time.perf_counter() - began, 2)}
    rows = []
    for name, schema in SCHEMAS.items():
        compiler = GrammarCompiler(tokenizer, len(words.tokens))
        grammar = grammar_of(Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema)))
        began = time.perf_counter()
        matcher = compiler.matcher(grammar)
        compile_ms = 1e3 * (time.perf_counter() - began)
        masks, asked = [], []
        chance = random.Random(1)
        for _ in range(WALK):
            began = time.perf_counter()
            allowed = matcher.allowed()
            masks.append(time.perf_counter() - began)
            token = int(allowed[chance.randrange(len(allowed))])
            began = time.perf_counter()
            matcher.allows(token)
            asked.append(time.perf_counter() - began)
            matcher.advance(token)
            if matcher.is_complete:
                break
        spread = [1e6 * float(value) for value in np.percentile(masks, [50, 99])]
        figures[name] = {"compile_ms": compile_ms, "mask_us": spread, "token_us": 1e6 * float(np.median(asked))}
        row = (f"{compile_ms:.1f}", f"{spread[0]:.0f}", f"{spread[1]:.0f}", f"{figures[name]['token_us']:.1f}")
        rows.append([name, *row])
    return figures, rows


async def token_ms(peer: Peer, schema: JSONObject | None, numbers: "itertools.count[int]") -> Figures:
    """Milliseconds for each token of one answer after its first piece of text."""
    answer = await peer.ask(f"Answer at length, number {next(numbers)}.", TOKENS, schema)
    return {TOKEN_MS: 1e3 * (answer.ended_at - answer.pieces_at[0]) / max(1, answer.tokens - 1)}


def overhead(outcome: Outcome, peer: str, *, is_judged: bool) -> str:
    """How much longer a token takes with a form; the bar is for our own engine on the large model."""
    if not outcome.rounds:
        return ""
    longer = outcome.ratio(f"{peer}, formed", f"{peer}, free", TOKEN_MS).median - 1
    word = f"{'pass' if longer < MOST_OVERHEAD else 'MISS'}: " if is_judged and peer in (HTTP, PROCESS) else ""
    return f"{word}{peer} takes {longer:.1%} longer for a token with a form than without"


async def main() -> None:
    asked = parser("What a form costs per token.", rounds=3, full_rounds=7).parse_args()
    report = Report(as_json=asked.json)
    figures, rows = matcher_rows()
    head = ["schema", "compiled, ms", "mask, median µs", "mask, p99 µs", "one token, µs"]
    report.add(f"the matcher alone, {QWEN_HALF_BILLION.vocabulary} tokens", figures, table(head, rows))
    name, path = ("q4", random_model()) if asked.full else ("tiny", DEMO_MODEL_PATH)
    task = Task(name, path, slots=1, n_ctx=2048)
    async with started(task, (LLAMA_SERVER, XLLAMACPP, HTTP, PROCESS)) as field:
        if field.missing:
            report.add("not here", field.missing, field.absent())
        for schema_name, schema in SCHEMAS.items():
            numbers = itertools.count(1)
            contenders = [
                Contender(f"{peer_name}{suffix}", partial(token_ms, peer, form, numbers))
                for peer_name, peer in field.peers.items()
                for suffix, form in ((", free", None), (", formed", schema))
            ]
            outcome = await interleave(contenders, limits(asked))
            pairs = [overhead(outcome, peer, is_judged=asked.full) for peer in field.peers]
            text = compared(outcome, f"{PROCESS}, free", TOKEN_MS) + "\n\n" + "\n".join(pairs)
            report.add(f"{schema_name}, {task.name}", outcome, text)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
