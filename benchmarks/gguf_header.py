"""How long it takes to read the header of a model with 152,000 tokens: for ours, and for the gguf package's reader.

The file has Qwen2.5's sizes and no weights: tokens, their types, and the merges that lead to them, which are most of
any header. Ours is also read from a growing beginning, as it comes over HTTP ranges. Rounds take turns; the ratio of
each round counts, and its median.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from gguf import GGUFReader, GGUFWriter

from benchmarks.random_model import QWEN_HALF_BILLION, TEMPLATE, vocabulary
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.ranges import FIRST_BYTES
from bodhi_asgi.gguf.reader import MoreNeeded, parse_prefix, read_header

AT_LEAST: Final = 50


def write(path: Path, size: int) -> None:
    """A model of one small tensor with a vocabulary of ``size`` tokens."""
    tokens, types, joined = vocabulary(size)
    shape = QWEN_HALF_BILLION
    writer = GGUFWriter(path, "qwen2")
    writer.add_name("no weights")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(joined)
    writer.add_chat_template(TEMPLATE)
    writer.add_tensor("output_norm.weight", np.ones(shape.width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def by_ranges(data: bytes) -> None:
    """Read as :func:`bodhi_asgi.gguf.ranges.fetch_header` does, without the network."""
    have = FIRST_BYTES
    while isinstance(found := parse_prefix(data[:have], len(data)), MoreNeeded):
        have = min(max(found.bytes, 2 * have), len(data))


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--vocabulary", type=int, default=152_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        write(path, asked.vocabulary)
        data = path.read_bytes()
        told = facts_of(read_header(path))
        print(f"{len(data):,} bytes, {told.vocabulary:,} tokens, {len(vocabulary(asked.vocabulary)[2]):,} merges")
        ratios = []
        for _ in range(asked.rounds):
            ours = min(seconds(lambda: read_header(path)) for _ in range(3))
            ranges = min(seconds(lambda: by_ranges(data)) for _ in range(3))
            peer = seconds(lambda: GGUFReader(path))
            ratios.append(peer / ours)
            print(
                f"ours {ours * 1000:8.1f} ms   by ranges {ranges * 1000:8.1f} ms   "
                f"gguf {peer * 1000:10.1f} ms   gguf / ours {peer / ours:.0f}"
            )
    median = statistics.median(ratios)
    word = "pass" if median >= AT_LEAST else "MISS"
    print(f"{word}: gguf / ours {median:.0f} ({min(ratios):.0f} to {max(ratios):.0f}), at least {AT_LEAST}")
    return 0 if median >= AT_LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
