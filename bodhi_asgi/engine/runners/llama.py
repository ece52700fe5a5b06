"""llama.cpp through the low-level bindings: only the ``llama…`` files here import ``llama_cpp``.

llama.cpp ends the process on plain misuse, so every call here is one whose arguments were checked before: no more
tokens than the batch holds, no token drawn from an index without logits, samplers freed before the context and the
context before the model. Signatures are those of the pinned version; a test guards them.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import llama_cpp

from bodhi_asgi.engine.constraints.matcher import GrammarCompiler, Matcher
from bodhi_asgi.engine.drafts import Drafter, PromptLookup
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.images import has_image
from bodhi_asgi.engine.memory import ModelMemory, context_tokens, model_memory
from bodhi_asgi.engine.plan import Drawn, Row, StepOutcome, StepPlan, StepResult
from bodhi_asgi.engine.pooled_plan import PooledPlan, PooledResult
from bodhi_asgi.engine.runners import llama_tuning
from bodhi_asgi.engine.runners.llama_adapters import LlamaAdapters
from bodhi_asgi.engine.runners.llama_batch import Batch
from bodhi_asgi.engine.runners.llama_brake import make_brake
from bodhi_asgi.engine.runners.llama_drafter import LlamaDrafter, takes_back
from bodhi_asgi.engine.runners.llama_draw import Drawer
from bodhi_asgi.engine.runners.llama_guide import Candidates, Guide, answer_grammar_of, make_tokenizer
from bodhi_asgi.engine.runners.llama_library import LOG, description_of, initialise, metadata_of, reason
from bodhi_asgi.engine.runners.llama_memory import LlamaMemory, reuse_of
from bodhi_asgi.engine.runners.llama_pooled import PooledContext
from bodhi_asgi.engine.runners.llama_tuning import set_fields
from bodhi_asgi.engine.runners.llama_vocabulary import LlamaVocabulary
from bodhi_asgi.engine.slots import sequence_ids
from bodhi_asgi.engine.threads import thread_count
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import GenerateRequest

if TYPE_CHECKING:
    from bodhi_asgi.engine.runners.llama_images import LlamaImages
    from bodhi_asgi.engine.runners.llama_lead import ImageLead

DECODED: Final = 0
NO_CELLS: Final = 1
ABORTED: Final = 2


class LlamaRunner:
    """One model with one context; a slot is a sequence id in a unified KV cache."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._model: Any = None
        self._context: Any = None
        self._memory: LlamaMemory | None = None
        self._vocabulary: LlamaVocabulary | None = None
        self._drawers: dict[int, Drawer] = {}
        self._candidates: Candidates | None = None
        self._grammars: GrammarCompiler | None = None
        # ctypes frees a callback that nobody references, and llama.cpp would call into nothing.
        self._brake = make_brake()
        self._batch: Batch | None = None
        self._adapters = LlamaAdapters()
        self._pooled: PooledContext | None = None
        self._images: LlamaImages | None = None
        self._lead: ImageLead | None = None
        self._drafter: LlamaDrafter | None = None

    @property
    def progress(self) -> int:
        return self._brake.progress

    @property
    def vocabulary(self) -> LlamaVocabulary:
        assert self._vocabulary is not None, "the model is not loaded"
        return self._vocabulary

    def load(self, advance: Callable[[float], bool]) -> ModelFacts:
        path = Path(self._spec.path)
        # A file that ends too early would end the process with SIGBUS, and much else that is wrong with an assertion.
        memory = model_memory(path, self._spec)
        initialise()
        params = llama_cpp.llama_model_default_params()
        progress = llama_cpp.llama_progress_callback(lambda fraction, _: advance(fraction))
        shares = llama_tuning.tensor_split(self._spec.tuning)
        set_fields(
            params,
            n_gpu_layers=self._spec.n_gpu_layers,
            tensor_split=shares,
            progress_callback=progress,
            load_mode=llama_tuning.LOAD_MODES[memory.load_mode],
            **llama_tuning.of_model(self._spec.tuning),
        )
        self._model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            why = reason() if advance(1.0) else "the load was cancelled"
            raise ModelLoadFailed(f"the model '{self._spec.name}' cannot be loaded: {why}", model=self._spec.name)
        try:
            # Before the context, which is sized for the nodes that adapters add to a graph.
            self._adapters.load(self._model, self._spec)
            if self._spec.projector:
                self._load_images(memory.context_tokens)
            return self._open_context(memory)
        except BaseException:
            self.unload()
            raise

    def prepare_guides(self) -> None:
        n_vocab = len(self.vocabulary)
        self._candidates = Candidates(n_vocab)
        self._grammars = GrammarCompiler(make_tokenizer(self.vocabulary), n_vocab)

    def guide(self, request: GenerateRequest) -> Matcher | None:
        assert self._grammars is not None, "guides are prepared first"
        return self._grammars.matcher(answer_grammar_of(request, self.vocabulary))

    def look(self, work_id: str, request: GenerateRequest) -> None:
        if self._images is not None and isinstance(request.prompt, ChatPrompt):
            self._images.look(work_id, request.prompt.images)

    def look_away(self, work_id: str | None) -> None:
        if self._images is not None:
            self._images.look_away(work_id)

    def begin(
        self,
        sampler: int,
        request: GenerateRequest,
        prompt: Sequence[int] = (),
        matcher: Matcher | None = None,
    ) -> None:
        guide = None
        if matcher is not None:
            assert self._candidates is not None, "a matcher comes from prepared guides"
            guide = Guide(matcher, self._candidates, self.vocabulary.end_tokens)
        text = [token for token in prompt if token >= 0]
        self._drawers[sampler] = Drawer(self._context, self.vocabulary, request, text, guide)
        if self._images is not None and isinstance(request.prompt, ChatPrompt):
            self._images.hold(sampler, request.prompt.images)

    def end(self, sampler: int) -> None:
        self._drawers.pop(sampler).free()
        if self._images is not None:
            self._images.let_go(sampler)

    def run(self, plan: StepPlan) -> StepResult:
        assert self._memory is not None, "the model is not loaded"
        if lost := self._memory.edit(plan.edits):
            return StepResult(StepOutcome.ABORTED, lost=lost)
        if not plan.rows:
            return StepResult()
        assert self._batch is not None
        self._adapters.apply(self._context, plan.adapters)
        code, rows, outputs = DECODED, plan.rows, []
        if self._lead is not None and any(map(has_image, rows)):
            code, rows = self._lead.compute(rows, lambda: self._brake.is_pulled)
        if code == DECODED and rows:
            outputs = self._batch.fill(self._memory.positions.placed(rows))
            code = llama_cpp.llama_decode(self._context, self._batch.native)
        # After the step and not before it: an interrupt that comes a moment early is meant for the step that follows.
        self._brake.release()
        if code == DECODED:
            return self._result(outputs)
        # Some of the batch may have been computed.
        lost = self._memory.take_back(plan.rows, was_begun=code != NO_CELLS, in_parts=rows is not plan.rows)
        if code == ABORTED:
            return StepResult(StepOutcome.ABORTED, lost=lost)
        if code == NO_CELLS:
            return StepResult(StepOutcome.NO_CELLS, lost=lost)
        raise RuntimeError(f"llama_decode failed with {code}: {reason()}")

    def _result(self, outputs: list[tuple[Row, int]]) -> StepResult:
        result = StepResult()
        for row, end in outputs:
            drawer = self._drawers[row.sampler]
            if row.follows:
                result.scored[row.slot] = drawer.score(end - len(row.tokens), row.follows)
            if row.wants_token:
                result.drawn[row.slot] = first = drawer.draw(end - 1 - row.drafts)
                if row.drafts:
                    result.more[row.slot] = self._draw_on(drawer, row, first, end - row.drafts)
        return result

    def _draw_on(self, drawer: Drawer, row: Row, last: Drawn, first: int) -> tuple[Drawn, ...]:
        """What follows each token of the row's guess that was drawn indeed, as ``last`` for the one before it."""
        drawn: list[Drawn] = []
        for place, guess in enumerate(row.tokens[len(row.tokens) - row.drafts :], first):
            if last.error is not None or last.is_last or last.token != guess or self.vocabulary.ends(guess):
                break
            last = drawer.draw(place)
            drawn.append(last)
        return tuple(drawn)

    def pool(self, plan: PooledPlan) -> PooledResult:
        assert self._pooled is not None, "the model is not loaded"
        result = self._pooled.run(plan)
        self._brake.release()
        return result

    def drafter(self) -> Drafter | None:
        return PromptLookup() if self._spec.speculation.kind == "lookup" else self._drafter

    def interrupt(self) -> None:
        # Where a step cannot be taken back, everybody in it would lose more than the one who leaves would save.
        if self._memory is None or self._memory.can_go_back:
            self._brake.pull()

    def unload(self) -> None:
        for drawer in self._drawers.values():
            drawer.free()
        self._drawers.clear()
        self._grammars = None
        if self._pooled is not None:
            self._pooled.close()
        if self._drafter is not None:
            self._drafter.free()
        self._close_context()
        self._adapters.free()
        if self._images is not None:
            self._images.free()
        if self._model:
            llama_cpp.llama_model_free(self._model)
        self._model = self._vocabulary = self._pooled = None

    def _load_drafter(self, n_ctx: int) -> None:
        name = self._spec.name
        if not takes_back(self._model):
            raise ModelLoadFailed(
                f"the model '{name}' is a recurrent one, which cannot take guesses back; set speculation to 'none'",
                model=name,
            )
        if self._spec.speculation.kind == "model":
            self._drafter = LlamaDrafter(self._spec)
            threads = thread_count(self._spec.threads)
            self._drafter.load(self._model, n_ctx=n_ctx, threads=threads, brake=self._brake, reason=reason)

    def _load_images(self, n_ctx: int) -> None:
        # A library of its own, which only models with a projector need.
        from bodhi_asgi.engine.runners.llama_images import LlamaImages

        images = self._images = LlamaImages(self._spec, on_nodes=self._on_nodes)
        threads = thread_count(self._spec.threads)
        images.load(self._model, n_ctx=n_ctx, threads=threads, reason=reason, log=LOG)

    def _on_nodes(self, count: int) -> bool:
        """Called behind some nodes of an image's graph; True gives the step up."""
        self._brake.advance(count)
        return self._brake.is_pulled

    def _close_context(self) -> None:
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context = self._memory = None

    def _open_context(self, memory: ModelMemory) -> ModelFacts:
        if llama_cpp.llama_model_has_encoder(self._model):
            # Its decoder aborts without what an encoder has read before.
            raise ModelLoadFailed(
                f"the model '{self._spec.name}' has an encoder of its own, as T5 has; such models are not supported",
                model=self._spec.name,
            )
        tuning = self._spec.tuning
        self._context = self._new_context(
            n_ctx=context_tokens(self._spec.n_ctx, llama_cpp.llama_model_n_ctx_train(self._model)),
            n_batch=self._spec.n_batch,
            n_ubatch=tuning.n_ubatch or self._spec.n_batch,
            n_seq_max=sequence_ids(self._spec, reuse_of(self._model)),
        )
        n_ctx, sequences = llama_cpp.llama_n_ctx(self._context), llama_cpp.llama_n_seq_max(self._context)
        has_cells = bool(llama_cpp.llama_get_memory(self._context))
        self._memory = LlamaMemory(self._model, self._context) if has_cells else None
        self._batch = Batch(self._spec.n_batch)
        metadata = metadata_of(self._model)
        self._vocabulary = LlamaVocabulary(self._model, metadata, self._images, n_ctx=n_ctx)
        pooled = self._pooled = PooledContext(
            self._model, metadata, self._spec, has_cells=has_cells, new_context=self._new_context
        )
        if self._images is not None and self._memory is not None:
            from bodhi_asgi.engine.runners.llama_lead import ImageLead

            self._lead = ImageLead(
                self._context, self._images, self._batch, self._memory.positions, places=self._spec.n_batch
            )
        if self._spec.speculation.kind != "none" and pooled.speaks:
            self._load_drafter(n_ctx)
        if not pooled.speaks:
            self._close_context()
        return ModelFacts(
            n_ctx=n_ctx,
            n_vocab=len(self._vocabulary),
            size_bytes=llama_cpp.llama_model_size(self._model),
            description=description_of(self._model),
            metadata=metadata,
            sequences=sequences,
            reuse=reuse_of(self._model),
            cell_bytes=(memory.cache_bytes or 0) // memory.context_tokens if pooled.speaks else 0,
            generates=pooled.speaks,
            embeds=pooled.embeds,
            ranks=pooled.ranks,
            width=pooled.width,
            longest_text=pooled.longest_text,
            reads_in_pieces=pooled.reads_in_pieces,
            texts_at_once=pooled.texts_at_once,
        )

    def _new_context(self, **fields: Any) -> Any:
        """A context of the model with these fields. Raises ModelLoadFailed when there is no room for it."""
        tuning = self._spec.tuning
        threads = thread_count(self._spec.threads)
        params = llama_cpp.llama_context_default_params()
        set_fields(
            params,
            n_threads=threads,
            n_threads_batch=tuning.threads_batch or threads,
            kv_unified=True,
            no_perf=True,
            abort_callback=self._brake.callback,
            abort_callback_data=self._brake.data,
            **llama_tuning.of_context(tuning),
            **fields,
        )
        context = llama_cpp.llama_init_from_model(self._model, params)
        if not context:
            raise ModelLoadFailed(
                f"the model '{self._spec.name}' has no room for its context: {reason()}", model=self._spec.name
            )
        return context
