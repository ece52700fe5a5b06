"""How much memory an engine will take for a model, told from the file before anything is loaded.

What steps compute with is counted as far as it is ever written to: llama.cpp sets aside a row of logits for every token
of a step, and of these we ask for one per sequence. ``benchmarks/model_memory.py`` holds all of it against reality.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.types import LoadMode, ModelSpec
from bodhi_asgi.gguf.memory import cache_bytes, repacked_bytes, state_bytes, vocabulary_size, weight_bytes
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

CONTEXT_MULTIPLE: Final = 256
LARGEST_DEFAULT_CONTEXT: Final = 8192

FIXED_BYTES: Final = 5 * 1024 * 1024
"""Of a model whatever its size: graphs, metadata, stacks that are used."""

TOKEN_BYTES: Final = 275
"""Of each token of the vocabulary: its text, its type, its merges, and the tables to find them."""

MASK_BYTES: Final = 4
"""Of each pair of a token in a step and a cell of the context: who sees whom."""

HALF: Final = 0.5


def context_tokens(n_ctx: int, trained: int) -> int:
    """Tokens that a context is made for, given the setting (0: the model's own, up to a bound) and the training's."""
    wanted = n_ctx or min(trained or LARGEST_DEFAULT_CONTEXT, LARGEST_DEFAULT_CONTEXT)
    return max(CONTEXT_MULTIPLE, -(-wanted // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE)


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes, by what they are for. ``file_bytes`` and ``weight_bytes``: of all parts of a split model, on the disk and
    as they are held; ``cache_bytes``: for ``context_tokens`` (None: unknown); ``compute_bytes``: for steps, outputs and
    the vocabulary."""

    architecture: str
    file_bytes: int
    weight_bytes: int
    cache_bytes: int | None
    compute_bytes: int
    context_tokens: int
    load_mode: LoadMode

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + (self.cache_bytes or 0) + self.compute_bytes


def model_memory(path: Path, spec: ModelSpec) -> ModelMemory:
    """Look at a model file, to be run as ``spec`` says.

    Blocking. Raises ModelLoadFailed for one that is unreadable, no model, or cut off.
    """
    try:
        headers = read_model(path)
        file_bytes = sum(part.stat().st_size for part in parts(path))
    except OSError as error:
        raise ModelLoadFailed(f"the model file '{path}' cannot be read: {error.strerror}") from None
    except GgufInvalid as error:
        raise ModelLoadFailed(f"the model file '{path}' cannot be used: {error.message}") from None
    header, tuning = headers[0], spec.tuning
    tokens = context_tokens(spec.n_ctx, header.number("context_length"))
    cells = cache_bytes(header, tokens, tuning.cache_type_k, tuning.cache_type_v)
    states = state_bytes(header, spec.slots)
    whole, again = sum(map(weight_bytes, headers)), sum(map(repacked_bytes, headers))
    mode = _load_mode(tuning.load_mode, whole, again)
    return ModelMemory(
        architecture=header.architecture,
        file_bytes=file_bytes,
        # A mapped file stays in memory beside what was laid out anew of it.
        weight_bytes=whole + (again if mode == "mmap" else 0),
        cache_bytes=states if cells is None and states else cells if cells is None else cells + states,
        compute_bytes=_compute_bytes(header, spec, tokens),
        context_tokens=tokens,
        load_mode=mode,
    )


def _load_mode(wanted: LoadMode, whole: int, again: int) -> LoadMode:
    """What ``auto`` means for this model: mapped, unless most of it would then lie there twice."""
    if wanted != "auto":
        return wanted
    return "read" if again > HALF * whole else "mmap"


def _compute_bytes(header: GgufHeader, spec: ModelSpec, tokens: int) -> int:
    vocabulary = vocabulary_size(header)
    at_once = min(spec.tuning.n_ubatch or spec.n_batch, tokens)
    width, inner = header.number("embedding_length"), header.number("feed_forward_length")
    # The widest moment of a layer: what enters it and what it will add, beside the two halves of its feed-forward.
    per_token = 4 * (4 * width + 2 * inner) + MASK_BYTES * tokens
    if spec.tuning.flash_attention == "off":
        per_token += 4 * tokens * header.number("attention.head_count")
    # One row of logits for each sequence, computed and then handed over.
    outputs = 2 * 4 * vocabulary * spec.slots
    return FIXED_BYTES + TOKEN_BYTES * vocabulary + at_once * per_token + outputs
