"""How much memory an engine will take for a model, told from the file before anything is loaded.

What steps compute with is counted as far as it is ever written to: llama.cpp sets aside a row of logits for every token
of a step, and of these we ask for one per sequence. ``benchmarks/model_memory.py`` holds all of it against reality.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.slots import sequence_ids
from bodhi_asgi.engine.types import LoadMode, ModelSpec
from bodhi_asgi.gguf.facts import GgufFacts, facts_of
from bodhi_asgi.gguf.memory import (
    cache_bytes,
    repacked_bytes,
    state_bytes,
    step_bytes,
    vocabulary_size,
    weight_bytes,
)
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.sight import sight_of
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

CONTEXT_MULTIPLE: Final = 256
LARGEST_DEFAULT_CONTEXT: Final = 8192

FIXED_BYTES: Final = 15 * 1024 * 1024 // 2
"""Of a model whatever its size: graphs, metadata, stacks that are used."""

PROJECTOR_BYTES: Final = 1024 * 1024
"""Of a projector whatever its size."""

TOKEN_BYTES: Final = 275
"""Of each token of the vocabulary: its text, its type, its merges, and the tables to find them."""

MASK_BYTES: Final = 2
"""Of each pair of a token in a step and a cell of the context: who sees whom; twice that without flash attention."""

HALF: Final = 0.5

LARGEST_DEFAULT_STOWAGE: Final = 256 * 1024 * 1024


def context_tokens(n_ctx: int, trained: int) -> int:
    """Tokens that a context is made for, given the setting (0: the model's own, up to a bound) and the training's."""
    wanted = n_ctx or min(trained or LARGEST_DEFAULT_CONTEXT, LARGEST_DEFAULT_CONTEXT)
    return max(CONTEXT_MULTIPLE, -(-wanted // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE)


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes, by what they are for. ``file_bytes`` and ``weight_bytes``: of all parts of a split model, on the disk and
    as they are held; ``cache_bytes``: for ``context_tokens`` (None: unknown); ``compute_bytes``: for steps, outputs and
    the vocabulary; ``stowage_bytes``: the most that sequences without cells may take as time goes by, which is not in
    the total."""

    architecture: str
    file_bytes: int
    weight_bytes: int
    cache_bytes: int | None
    compute_bytes: int
    context_tokens: int
    load_mode: LoadMode
    stowage_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """What it takes once it has answered for the first time."""
        return self.weight_bytes + (self.cache_bytes or 0) + self.compute_bytes

    @property
    def most_bytes(self) -> int:
        """What it may take in the end."""
        return self.total_bytes + self.stowage_bytes


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
    trained = header.number("context_length")
    tokens = context_tokens(spec.n_ctx, trained)
    room = tokens
    facts = facts_of(*headers)
    if facts.pooling or not facts.is_causal:
        # A context for reading is made for the longest text so far, in powers of two.
        room = max(spec.n_batch, 1 << (min(tokens, trained or tokens) - 1).bit_length())
    cells = cache_bytes(header, room, tuning.cache_type_k, tuning.cache_type_v)
    # What keeps a state can be shared as it stands only, which takes another one.
    states = state_bytes(header, sequence_ids(spec, "whole"))
    whole, again = sum(map(weight_bytes, headers)), sum(map(repacked_bytes, headers))
    mode = _load_mode(tuning.load_mode, whole, again)
    is_whole = bool(states or header.number("attention.sliding_window") or facts.pooling or not facts.is_causal)
    return ModelMemory(
        architecture=header.architecture,
        file_bytes=file_bytes,
        # A mapped file stays in memory beside what was laid out anew of it.
        weight_bytes=whole + (again if mode == "mmap" else 0),
        cache_bytes=states if cells is None and states else cells if cells is None else cells + states,
        compute_bytes=_compute_bytes(header, facts, spec, room),
        context_tokens=tokens,
        load_mode=mode,
        stowage_bytes=0 if is_whole else stowage_bytes(spec, cells or 0),
    )


def stowage_bytes(spec: ModelSpec, cache_bytes: int) -> int:
    """Memory for what requests have left computed, beside cells of so many bytes; not where a graphics card has them.

    By default as much as the cells take, and no more than 256 MiB.
    """
    if spec.n_gpu_layers or spec.prefix_sharing == "none":
        return 0
    if spec.prefix_memory_bytes >= 0:
        return spec.prefix_memory_bytes
    return min(cache_bytes, LARGEST_DEFAULT_STOWAGE)


def _load_mode(wanted: LoadMode, whole: int, again: int) -> LoadMode:
    """What ``auto`` means for this model: mapped, unless most of it would then lie there twice."""
    if wanted != "auto":
        return wanted
    return "read" if again > HALF * whole else "mmap"


def _compute_bytes(header: GgufHeader, facts: GgufFacts, spec: ModelSpec, room: int) -> int:
    vocabulary = vocabulary_size(header)
    # A text that is ranked, or looked at both ways, is computed at once, however long.
    is_whole = facts.pooling == "rank" or not facts.is_causal
    at_once = room if is_whole else min(spec.tuning.n_ubatch or spec.n_batch, room)
    seen = 0  # of each token in a step: whom it sees
    if header.number("attention.head_count"):
        seen += MASK_BYTES * room
    if spec.tuning.flash_attention == "off":
        seen += MASK_BYTES * room + 4 * room * header.number("attention.head_count")
    # One row of logits for each sequence, computed and then handed over.
    outputs, per_token = 2 * 4 * vocabulary * spec.slots, step_bytes(header)
    if facts.pooling or not facts.is_causal:
        # Of every token of a text, where there are logits at all: llama.cpp computes them beside what is asked for.
        logits = 4 * vocabulary if facts.is_causal else 0
        vector = 4 * header.number("embedding_length")
        outputs, per_token = at_once * (logits + vector), max(per_token, logits)
    return FIXED_BYTES + TOKEN_BYTES * vocabulary + at_once * (seen + per_token) + outputs


@dataclass(frozen=True, slots=True)
class ProjectorMemory:
    """Bytes that a projector takes beside its model: its file and what it computes with, for the largest picture that
    the context can hold, and pictures that are kept, which come as time goes by."""

    at_work_bytes: int = 0
    resting_bytes: int = 0


def projector_memory(path: Path, n_ctx: int) -> ProjectorMemory:
    """Look at a projector, for a context of so many tokens; what is wrong with the file is said when it is loaded."""
    try:
        sight = sight_of(read_header(path))
        size = path.stat().st_size
    except (OSError, GgufInvalid):
        return ProjectorMemory()
    return ProjectorMemory(
        PROJECTOR_BYTES + size + sight.picture_bytes(sight.patches(n_ctx)), sight.resting_bytes(n_ctx)
    )


def draft_bytes(spec: ModelSpec) -> int:
    """What the draft model of ``spec`` takes: its cache is never packed. Raises ModelLoadFailed."""
    tuning = replace(spec.tuning, cache_type_k="f16", cache_type_v="f16", n_ubatch=0, flash_attention="auto")
    return model_memory(Path(spec.speculation.path), replace(spec, tuning=tuning)).total_bytes
