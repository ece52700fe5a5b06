"""Makes a model of Qwen2.5-0.5B's shape with random weights: it costs what a real one costs and needs no download.

The vocabulary is as large as Qwen's: all bytes, then words of up to four letters with the merges that lead to them. The
row of the token that ends a turn is zero in the embedding, which is the output too, so that greedy answers never end
early. Every tensor has its own seed, so the file is the same wherever numpy is.
"""

import argparse
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from gguf.quants import quantize

Quantisation: TypeAlias = Literal["Q4_0", "Q8_0"]

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodhi_asgi" / "benchmarks"
SEED: Final = 20
DEVIATION: Final = 0.02
LETTERS: Final = "etaoinshrdlcumwfgypbvkjxqz"
SPACE: Final = "\u0120"
"""How a byte-level vocabulary writes the space."""

TEMPLATE: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that decide what a token costs."""

    layers: int = 24
    width: int = 896
    inner: int = 4864
    heads: int = 14
    kv_heads: int = 2
    vocabulary: int = 151_936
    context: int = 32_768


QWEN_HALF_BILLION: Final = Shape()


def byte_alphabet() -> list[str]:
    """The 256 letters by which byte-level vocabularies write bytes: printable ones as themselves, others past them."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = itertools.count(256)
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def merges() -> Iterator[tuple[str, str]]:
    """Pairs to be joined, commonest letters first, each half of which exists by then."""
    pairs = ["".join(pair) for pair in itertools.product(LETTERS, repeat=2)]
    yield from ((pair[0], pair[1]) for pair in pairs)
    yield from ((SPACE, pair) for pair in pairs)
    yield from itertools.product(pairs, LETTERS)
    yield from itertools.product(pairs, pairs)


def vocabulary(size: int) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types, and the merges, for a vocabulary of ``size`` that ends with the control tokens."""
    alphabet = byte_alphabet()
    joined = list(itertools.islice(merges(), size - len(alphabet) - len(CONTROL)))
    tokens = [*alphabet, *(left + right for left, right in joined), *CONTROL]
    types = [TokenType.NORMAL] * (len(tokens) - len(CONTROL)) + [TokenType.CONTROL] * len(CONTROL)
    return tokens, [int(kind) for kind in types], [f"{left} {right}" for left, right in joined]


def tensors(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor by name, with its shape as numpy has it (rows first)."""
    head = shape.width // shape.heads
    yield "token_embd.weight", (shape.vocabulary, shape.width)
    yield "output_norm.weight", (shape.width,)
    for layer in range(shape.layers):
        block = f"blk.{layer}."
        for name, rows in (
            ("attn_q", shape.width),
            ("attn_k", shape.kv_heads * head),
            ("attn_v", shape.kv_heads * head),
        ):
            yield f"{block}{name}.weight", (rows, shape.width)
            yield f"{block}{name}.bias", (rows,)
        yield f"{block}attn_output.weight", (shape.width, shape.width)
        yield f"{block}attn_norm.weight", (shape.width,)
        yield f"{block}ffn_norm.weight", (shape.width,)
        yield f"{block}ffn_gate.weight", (shape.inner, shape.width)
        yield f"{block}ffn_up.weight", (shape.inner, shape.width)
        yield f"{block}ffn_down.weight", (shape.width, shape.inner)


def values(index: int, name: str, dims: tuple[int, ...], end: int) -> Any:
    """A tensor's numbers in 32 bits: ones for norms, zeros for biases, a seeded normal distribution for the rest."""
    if name.endswith("norm.weight"):
        return np.ones(dims, np.float32)
    if name.endswith("bias"):
        return np.zeros(dims, np.float32)
    drawn = np.random.default_rng([SEED, index]).standard_normal(dims, np.float32) * np.float32(DEVIATION)
    if name == "token_embd.weight":
        drawn[end] = 0.0
    return drawn


def write(path: Path, shape: Shape = QWEN_HALF_BILLION, kind: Quantisation = "Q4_0") -> None:
    """Write the model to ``path``; it appears there whole or not at all. About half a minute for the full shape.

    The embedding is always Q8_0: it is the output too, and nobody quantises that as far as the rest.
    """
    scratch = path.with_suffix(".partial")
    writer = GGUFWriter(scratch, "qwen2")
    tokens, types, joined = vocabulary(shape.vocabulary)
    end = tokens.index("<|im_end|>")
    writer.add_name("random weights")
    writer.add_block_count(shape.layers)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1_000_000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(joined)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(tokens.index("<|endoftext|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for index, (name, dims) in enumerate(tensors(shape)):
        drawn = values(index, name, dims, end)
        if len(dims) == 1:
            writer.add_tensor(name, drawn)
        else:
            how = GGMLQuantizationType.Q8_0 if name == "token_embd.weight" else GGMLQuantizationType[kind]
            writer.add_tensor(name, quantize(drawn, how), raw_dtype=how)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    scratch.replace(path)


def random_model(kind: Quantisation = "Q4_0") -> Path:
    """The model of the full shape, made at the first use and kept in the user's cache."""
    path = CACHE / f"random-0.5b-{kind.lower()}.gguf"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        write(path, kind=kind)
    return path


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--kind", choices=("Q4_0", "Q8_0"), default="Q4_0")
    path = random_model(options.parse_args().kind)
    print(f"{path} ({path.stat().st_size / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
