"""A smaller llama.cpp model that guesses what a larger one with the same vocabulary will say.

It has a context of its own, in which each sequence has an id while it is one of those that guesses are wanted for. What
goes wrong there, for want of cells or because the step is given up, costs the guess and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import llama_cpp
import numpy as np

from bodhi_asgi.engine.drafts import MOST_STREAMS, Wanted
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.memory import model_memory
from bodhi_asgi.engine.plan import Row
from bodhi_asgi.engine.runners import llama_tuning
from bodhi_asgi.engine.runners.llama_batch import Batch
from bodhi_asgi.engine.runners.llama_brake import Brake
from bodhi_asgi.engine.runners.llama_tuning import set_fields
from bodhi_asgi.engine.types import ModelSpec

IDS: Final = 2 * MOST_STREAMS
ALL: Final = -1


class LlamaDrafter:
    """The draft model of one model. Belongs to the engine's thread."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._model: Any = None
        self._context: Any = None
        self._memory: Any = None
        self._batch: Batch | None = None
        self._n_vocab = 0
        self._ids: dict[int, int] = {}
        self._cells: dict[int, list[int]] = {}

    def load(self, model: Any, *, n_ctx: int, threads: int, brake: Brake, reason: Callable[[], str]) -> None:
        """Load it beside ``model``. Raises ModelLoadFailed saying what is wrong with it."""
        path = Path(self._spec.speculation.path)
        memory = model_memory(path, self._spec)
        params = llama_cpp.llama_model_default_params()
        set_fields(
            params,
            n_gpu_layers=self._spec.n_gpu_layers,
            load_mode=llama_tuning.LOAD_MODES[memory.load_mode],
            **llama_tuning.of_model(self._spec.tuning),
        )
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise self._refused(reason())
        self._check(model)
        params = llama_cpp.llama_context_default_params()
        set_fields(
            params,
            n_ctx=n_ctx,
            n_batch=self._spec.n_batch,
            n_ubatch=self._spec.n_batch,
            n_seq_max=IDS,
            n_threads=threads,
            n_threads_batch=threads,
            kv_unified=True,
            no_perf=True,
            abort_callback=brake.callback,
            abort_callback_data=brake.data,
        )
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise self._refused(f"there is no room for its context: {reason()}")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = Batch(self._spec.n_batch)
        if not self.draft([Wanted(0, [0, 1, 2], 2)]):
            raise self._refused("it computes nothing")
        self.forget(0)

    def draft(self, wanted: Sequence[Wanted]) -> Mapping[int, Sequence[int]]:
        """Greedy guesses, computed for all sequences side by side."""
        going = [one for one in wanted if min(one.tokens) >= 0]
        guesses: dict[int, list[int]] = {one.number: [] for one in going}
        pending = {one.number: self._pending(one) for one in going}
        while going:
            found = self._compute(pending)
            if found is None:
                self._start_over()
                return {}
            for number, token in found.items():
                guesses[number].append(token)
            going = [one for one in going if len(guesses[one.number]) < one.most]
            pending = {one.number: [guesses[one.number][-1]] for one in going}
        return guesses

    def forget(self, number: int) -> None:
        slot = self._ids.pop(number, None)
        if slot is not None:
            self._cells.pop(number)
            llama_cpp.llama_memory_seq_rm(self._memory, slot, ALL, ALL)

    def free(self) -> None:
        """Release everything. Idempotent."""
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._model:
            llama_cpp.llama_model_free(self._model)
        self._context = self._model = None

    def _pending(self, wanted: Wanted) -> list[int]:
        """The tokens that are to be read, the last one always, with what differs from them taken back."""
        number, tokens, _ = wanted
        if number not in self._ids:
            if len(self._ids) == IDS:
                self.forget(next(iter(self._ids)))
            self._ids[number] = next(slot for slot in range(IDS) if slot not in self._ids.values())
            self._cells[number] = []
        cells = self._cells[number]
        same = min(len(cells), len(tokens) - 1)
        if cells[:same] != tokens[:same]:
            same = next(place for place in range(same) if cells[place] != tokens[place])
        if same < len(cells):
            llama_cpp.llama_memory_seq_rm(self._memory, self._ids[number], same, ALL)
            del cells[same:]
        return tokens[same:]

    def _compute(self, pending: Mapping[int, list[int]]) -> dict[int, int] | None:
        """The likeliest token behind each of these; None when it could not be computed."""
        assert self._batch is not None
        left = {number: list(tokens) for number, tokens in pending.items()}
        found: dict[int, int] = {}
        while any(left.values()):
            room, rows = self._spec.n_batch, []
            for number, tokens in left.items():
                piece = tokens[:room]
                if piece:
                    del tokens[: len(piece)]
                    room -= len(piece)
                    cells = self._cells[number]
                    rows.append(Row(self._ids[number], number, len(cells), tuple(piece), wants_token=not tokens))
                    cells += piece
            outputs = self._batch.fill(rows)
            if llama_cpp.llama_decode(self._context, self._batch.native):
                return None
            for row, end in outputs:
                logits = llama_cpp.llama_get_logits_ith(self._context, end - 1)
                found[row.sampler] = int(np.argmax(np.ctypeslib.as_array(logits, shape=(self._n_vocab,))))
        return found

    def _start_over(self) -> None:
        for number in tuple(self._ids):
            self.forget(number)

    def _check(self, model: Any) -> None:
        """Whether it can guess for ``model`` and take guesses back."""
        mine, other = (llama_cpp.llama_model_get_vocab(one) for one in (self._model, model))
        self._n_vocab = llama_cpp.llama_vocab_n_tokens(mine)
        spelled = llama_cpp.llama_vocab_get_text
        if self._n_vocab != llama_cpp.llama_vocab_n_tokens(other) or any(
            spelled(mine, token) != spelled(other, token) for token in range(self._n_vocab)
        ):
            raise self._refused("it has another vocabulary than the model it is to guess for")
        if not takes_back(self._model):
            raise self._refused("it is a recurrent model, which cannot take a guess back")

    def _refused(self, reason: str) -> ModelLoadFailed:
        name = self._spec.name
        return ModelLoadFailed(f"the draft model of the model '{name}' cannot be loaded: {reason}", model=name)


def takes_back(model: Any) -> bool:
    """Whether single cells can be taken from a model's memory."""
    return not llama_cpp.llama_model_is_recurrent(model) and not llama_cpp.llama_model_is_hybrid(model)
