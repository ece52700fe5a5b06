"""The cells of a llama.cpp context: what can be shared of them, and how a step is taken back.

A plain KV cache keeps every position, and any beginning of a sequence can be shared. A recurrent model (Mamba, RWKV)
keeps one state for all that it has read, a hybrid one keeps both, and a sliding window forgets what lies behind it:
those can be shared only as they stand, whole.
"""

import ctypes
from collections.abc import Iterable
from typing import Any

import llama_cpp

from bodhi_asgi.engine.plan import Clear, Copy, Edit, Fetch, Forget, Row, Stow
from bodhi_asgi.engine.runners.llama_positions import Positions, cuts
from bodhi_asgi.engine.types import Reuse


def reuse_of(model: Any) -> Reuse:
    """What can be shared of this model's sequences."""
    is_whole = (
        llama_cpp.llama_model_is_recurrent(model)
        or llama_cpp.llama_model_is_hybrid(model)
        or llama_cpp.llama_model_n_swa(model) > 0
    )
    return "whole" if is_whole else "beginnings"


class LlamaMemory:
    """Belongs to a context and ends with it."""

    def __init__(self, model: Any, context: Any) -> None:
        self._context = context
        self._memory = llama_cpp.llama_get_memory(context)
        self._stowed: dict[int, ctypes.Array[ctypes.c_uint8]] = {}
        self._reuse = reuse_of(model)
        has_state = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        in_one_go = llama_cpp.llama_n_ubatch(context) >= llama_cpp.llama_n_batch(context)
        self.can_go_back = not has_state and (self._reuse == "beginnings" or in_one_go)
        """Whether a step that is given up leaves its sequences as they were. A window moves on with each part of it."""
        self.positions = Positions()

    def edit(self, edits: Iterable[Edit]) -> frozenset[int]:
        """Carry out edits, in order. The slots that could not be fetched, and are empty."""
        lost = [edit.slot for edit in edits if not self._is_done(edit) and isinstance(edit, Fetch)]
        return frozenset(lost)

    def _is_done(self, edit: Edit) -> bool:
        match edit:
            case Clear(slot, begin):
                self._remove(slot, begin)
            case Copy(source, target, cells):
                # Whole, where it has to be: a state or a window is copied as it stands, and a part of it is an abort.
                begin, end = (-1, -1) if self._reuse == "whole" else (0, self.positions.of(source, cells))
                llama_cpp.llama_memory_seq_cp(self._memory, source, target, begin, end)
                self.positions.copy(source, target, cells)
            case Stow(slot, place):
                size = llama_cpp.llama_state_seq_get_size(self._context, slot)
                data = self._stowed[place] = (ctypes.c_uint8 * size)()
                self.positions.copy(slot, place)
                return bool(llama_cpp.llama_state_seq_get_data(self._context, data, size, slot))
            case Fetch(place, slot):
                data = self._stowed[place]
                if not llama_cpp.llama_state_seq_set_data(self._context, data, len(data), slot):
                    return False
                self.positions.copy(place, slot)
            case Forget(place):
                del self._stowed[place]
                self.positions.clear(place, 0)
        return True

    def take_back(self, rows: Iterable[Row], *, was_begun: bool, in_parts: bool) -> frozenset[int]:
        """Take rows that were not computed back to where they were; the slots that have lost their cells by it.

        ``in_parts`` when some of them may have been computed before others failed.
        """
        is_lost = (was_begun and not self.can_go_back) or (in_parts and self._reuse == "whole")
        lost = set()
        for row in rows:
            if cuts(row) or not self._remove(row.slot, row.position) or is_lost:
                self._remove(row.slot, 0)
                lost.add(row.slot)
        return frozenset(lost)

    def _remove(self, slot: int, begin: int) -> bool:
        """Take the cells of a slot from a token on. Whether they could be."""
        position = self.positions.of(slot, begin)
        is_done = llama_cpp.llama_memory_seq_rm(self._memory, slot, position if begin else -1, -1)
        if is_done:
            self.positions.clear(slot, begin)
        return bool(is_done)
