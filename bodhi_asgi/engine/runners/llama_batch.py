"""The arrays that llama.cpp reads a step from."""

import ctypes
from collections.abc import Iterator, Sequence

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine.plan import Row
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan


class Batch:
    """The arrays of a ``llama_batch``, owned by us and filled through numpy; one sequence per token."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._token = np.zeros(size, np.int32)
        self._position = np.zeros(size, np.int32)
        self._sequences = np.ones(size, np.int32)
        self._slot = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        # Through these a single number is set in half the time.
        self._one_token = self._token.data
        self._one_position = self._position.data
        self._one_slot = self._slot.data
        self._one_logit = self._logits.data
        pointer = ctypes.POINTER(llama_cpp.llama_seq_id)
        address = self._slot.ctypes.data
        self._slots = (pointer * size)(
            *(ctypes.cast(address + index * self._slot.itemsize, pointer) for index in range(size))
        )
        self.native = llama_cpp.llama_batch()
        self.native.token = self._token.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
        self.native.pos = self._position.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos))
        self.native.n_seq_id = self._sequences.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.native.seq_id = ctypes.cast(self._slots, ctypes.POINTER(pointer))
        self.native.logits = self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, rows: Sequence[Row]) -> list[tuple[Row, int]]:
        """Lay out the rows; returns those of which something is wanted, each with the index behind its last token."""
        outputs = []
        self._logits.fill(0)
        for row, end in zip(rows, self._lay(rows), strict=True):
            if row.follows:
                begin = end - len(row.tokens)
                self._logits[begin : begin + len(row.follows)] = 1
            if row.drafts:
                self._logits[end - 1 - row.drafts : end] = 1
            elif row.wants_token:
                self._one_logit[end - 1] = 1
            if row.wants_token or row.follows:
                outputs.append((row, end))
        return outputs

    def fill_whole(self, plan: PooledPlan) -> list[int]:
        """Lay out the passages, of all of whose tokens something is wanted; returns where each of them ends."""
        self._logits[:] = 1
        return list(self._lay(plan.passages))

    def _lay(self, rows: Sequence[Row | Passage]) -> Iterator[int]:
        end = 0
        for row in rows:
            begin, end = end, end + len(row.tokens)
            assert end <= self._size, "more tokens than the batch holds"
            if end - begin == 1:  # as most rows are, and numbers are set faster than ranges
                self._one_token[begin] = row.tokens[0]
                self._one_position[begin] = row.position
                self._one_slot[begin] = row.slot
            else:
                self._token[begin:end] = row.tokens
                self._position[begin:end] = range(row.position, row.position + len(row.tokens))
                self._slot[begin:end] = row.slot
            yield end
        self.native.n_tokens = end


class EmbeddingBatch:
    """The arrays of a ``llama_batch`` that holds embeddings of one sequence, owned by us.

    A position has as many numbers as the model's places have ``dimensions``.
    """

    def __init__(self, size: int, width: int, dimensions: int) -> None:
        self._embeddings = np.zeros((size, width), np.float32)
        self._position = np.zeros(size * dimensions, np.int32)
        self._sequences = np.ones(size, np.int32)
        self._slot = np.zeros(1, np.int32)
        self._logits = np.zeros(size, np.int8)
        pointer = ctypes.POINTER(llama_cpp.llama_seq_id)
        address = ctypes.cast(self._slot.ctypes.data, pointer)
        self._slots = (pointer * size)(*(address for _ in range(size)))
        self.native = llama_cpp.llama_batch()
        self.native.embd = self._embeddings.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        self.native.pos = self._position.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos))
        self.native.n_seq_id = self._sequences.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        self.native.seq_id = ctypes.cast(self._slots, ctypes.POINTER(pointer))
        self.native.logits = self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, slot: int, layout: NDArray[np.int32], embeddings: NDArray[np.float32]) -> None:
        """Lay out the embeddings of ``slot``; none of them is followed by a token.

        ``layout`` has a row for each dimension, which has a position for each of them.
        """
        count = len(embeddings)
        assert count <= len(self._embeddings), "more places than the batch holds"
        self._embeddings[:count] = embeddings
        self._position[: layout.size] = layout.ravel()
        self._slot[0] = slot
        self.native.n_tokens = count
