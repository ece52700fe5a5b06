"""Texts read in batches by llama.cpp: vectors and scores, in a context apart from that of the answers.

A causal model reads a text in as many pieces as the plan has, and its vector is pooled here from the states of its
tokens. An encoder, and a model that ranks, reads it whole, and llama.cpp pools. The context is opened at the first
text and again, larger, for one that is longer than all before, so that it takes no more memory than is needed.
"""

import ctypes
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine.memory import context_tokens
from bodhi_asgi.engine.plan import StepOutcome
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan, PooledResult
from bodhi_asgi.engine.runners.llama_batch import Batch
from bodhi_asgi.engine.types import ModelSpec, Pooling
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.parts import read_model

Vector = NDArray[np.float32]

DECODED: Final = 0
ABORTED: Final = 2

IN_FILES: Final[Mapping[str, Pooling | None]] = MappingProxyType({"1": "mean", "2": "cls", "3": "last", "4": "rank"})
"""``<architecture>.pooling_type``, as ``llama.h`` numbers it; whatever else a file says counts as nothing."""

NATIVE: Final[Mapping[Pooling, int]] = MappingProxyType(
    {
        "mean": llama_cpp.LLAMA_POOLING_TYPE_MEAN,
        "cls": llama_cpp.LLAMA_POOLING_TYPE_CLS,
        "last": llama_cpp.LLAMA_POOLING_TYPE_LAST,
        "rank": llama_cpp.LLAMA_POOLING_TYPE_RANK,
    }
)
WITH_PROBABILITIES: Final = ("qwen3", "qwen3vl")
"""Architectures for which llama.cpp makes probabilities of the classifier's outputs itself."""

TEXTS: Final = 64
TEXTS_WITH_STATE: Final = 8
"""A recurrent state is kept for each sequence that there may be, and is large."""


class PooledContext:
    """Of one model. ``has_cells``: the model keeps a memory of what it has read. ``new_context`` opens a context."""

    def __init__(
        self,
        model: Any,
        metadata: Mapping[str, str],
        spec: ModelSpec,
        *,
        has_cells: bool,
        new_context: Callable[..., Any],
    ) -> None:
        self._architecture = metadata.get("general.architecture", "")
        by_file = self._pooling_of_file(spec, metadata)
        self._pooling = by_file if spec.tuning.pooling == "model" else spec.tuning.pooling
        self._n_batch = spec.n_batch
        self._new_context = new_context
        self._context: Any = None
        self._memory: Any = None
        self._batch: Batch | None = None
        self._cells = 0
        self._slots: set[int] = set()
        self._sums: dict[int, Vector] = {}
        self.is_causal: Final = has_cells and metadata.get(f"{self._architecture}.attention.causal") != "false"
        # A file that names a pooling was made for reading, and its answers would mean nothing.
        self.speaks: Final = self.is_causal and by_file is None
        self.ranks: Final = self._pooling == "rank"
        self.embeds: Final = self._pooling is not None and not self.ranks
        self.reads_in_pieces: Final = self.is_causal and self.embeds
        self.width: Final = int(llama_cpp.llama_model_n_embd_out(model))
        self._scores: Final = int(llama_cpp.llama_model_n_cls_out(model))
        trained = int(llama_cpp.llama_model_n_ctx_train(model))
        # Positions beyond those that a model was trained for may not even exist in its file.
        self.longest_text: Final = min(trained, context_tokens(spec.n_ctx, trained))
        has_state = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        # More sequences than a batch has tokens end llama.cpp when the context is made.
        self.texts_at_once: Final = min(spec.n_batch, TEXTS_WITH_STATE if has_state else TEXTS)

    def run(self, plan: PooledPlan) -> PooledResult:
        """Carry out a plan. An exception means that the model cannot be used any more."""
        self._make_room(plan)
        assert self._batch is not None
        ends = self._batch.fill_whole(plan)
        # A context without memory has nothing to decode into; llama.cpp ends the process over the wrong one of the two.
        compute = llama_cpp.llama_decode if self._memory else llama_cpp.llama_encode
        code = compute(self._context, self._batch.native)
        if code == ABORTED:
            self._forget()
            return PooledResult(StepOutcome.ABORTED)
        if code != DECODED:
            raise RuntimeError(f"a batch of texts failed with {code}")
        self._slots.update(passage.slot for passage in plan.passages)
        if self.ranks:
            return PooledResult(vectors={passage.slot: self._score(passage.slot) for passage in plan.passages})
        return PooledResult(vectors=dict(self._vectors(plan, ends)))

    def close(self) -> None:
        """Free the context. Idempotent; to be called before the model is freed."""
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context = self._memory = self._batch = None
        self._cells = 0

    def _make_room(self, plan: PooledPlan) -> None:
        if plan.continues:
            for slot in self._slots - {plan.passages[0].slot}:
                self._remove(slot)
        elif plan.cells > self._cells:
            self._open(plan.cells)
        else:
            self._forget()

    def _open(self, cells: int) -> None:
        self.close()
        room = max(self._n_batch, 1 << (cells - 1).bit_length())
        # A text that is read whole has to be computed at once.
        at_once = self._n_batch if self.reads_in_pieces else room
        pooling = llama_cpp.LLAMA_POOLING_TYPE_NONE if self.reads_in_pieces else NATIVE[self._pooling or "mean"]
        self._context = self._new_context(
            n_ctx=room,
            n_batch=at_once,
            n_ubatch=at_once,
            n_seq_max=self.texts_at_once,
            embeddings=True,
            pooling_type=pooling,
        )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = Batch(at_once)
        self._cells = room
        self._slots.clear()
        self._sums.clear()

    def _forget(self) -> None:
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        self._slots.clear()
        self._sums.clear()

    def _remove(self, slot: int) -> None:
        if self._memory:
            llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)
        self._slots.discard(slot)
        self._sums.pop(slot, None)

    def _vectors(self, plan: PooledPlan, ends: list[int]) -> "list[tuple[int, bytes]]":
        if not self.reads_in_pieces:
            return [(one.slot, _unit(self._sequence(one.slot, self.width), one.dimensions)) for one in plan.passages]
        address = llama_cpp.llama_get_embeddings(self._context)
        states = np.ctypeslib.as_array(address, (plan.tokens, self.width))
        found = []
        for passage, end in zip(plan.passages, ends, strict=True):
            vector = self._pooled(passage, states[end - len(passage.tokens) : end])
            if passage.is_last:
                found.append((passage.slot, _unit(vector, passage.dimensions)))
        return found

    def _pooled(self, passage: Passage, states: Vector) -> Vector:
        """What is known of the text's vector after this passage."""
        if self._pooling == "last":
            return np.array(states[-1])
        before = self._sums.get(passage.slot)
        if self._pooling == "cls":
            vector = np.array(states[0]) if before is None else before
        else:
            vector = states.sum(axis=0) if before is None else before + states.sum(axis=0)
        self._sums[passage.slot] = vector
        return vector

    def _score(self, slot: int) -> bytes:
        values = self._sequence(slot, self._scores)
        if not np.isfinite(values).all():
            return b""
        if self._architecture in WITH_PROBABILITIES:
            score = float(values[0])
        elif self._scores == 1:
            score = 1 / (1 + float(np.exp(-values[0].astype(np.float64))))
        else:
            shares = np.exp(values - values.max())
            score = float(shares[0] / shares.sum())
        return np.array([score], "<f4").tobytes()

    def _sequence(self, slot: int, size: int) -> Vector:
        address = llama_cpp.llama_get_embeddings_seq(self._context, slot)
        if not address:
            raise RuntimeError(f"llama.cpp has no numbers for the sequence {slot}")
        return np.array(np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(ctypes.c_float)), (size,)))

    @staticmethod
    def _pooling_of_file(spec: ModelSpec, metadata: Mapping[str, str]) -> Pooling | None:
        pooling = IN_FILES.get(metadata.get(f"{metadata.get('general.architecture', '')}.pooling_type", ""))
        if pooling == "rank" and facts_of(*read_model(Path(spec.path))).pooling != pooling:
            return None  # it lacks what would rank
        return pooling


def _unit(vector: Vector, dimensions: int | None) -> bytes:
    """The vector, cut and of length one; nothing where it is not finite."""
    cut = vector[:dimensions].astype(np.float64)
    length = float(np.linalg.norm(cut))
    if not np.isfinite(length):
        return b""
    return (cut / length if length else cut).astype("<f4").tobytes()
