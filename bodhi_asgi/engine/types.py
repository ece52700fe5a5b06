"""The engine's values: what to load, what to do, what a step plans and yields. Frozen, plain data.

Requests come in as the neutral :class:`~bodhi_asgi.messages.generation.GenerateRequest`; people are unknown here, an
``owner`` is only a key by which the queue is fair.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.answers import Delta, FinishReason, Part, Usage
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.messages.reading import DetokenizeRequest, EmbedRequest, RerankRequest, TokenizeRequest

RunnerName: TypeAlias = Literal["llama", "echo", "poison"]
PrefixSharing: TypeAlias = Literal["none", "owner", "all"]
Reuse: TypeAlias = Literal["beginnings", "whole"]
CacheType: TypeAlias = Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
FlashAttention: TypeAlias = Literal["auto", "on", "off"]
SplitMode: TypeAlias = Literal["layer", "row", "none"]
RopeScaling: TypeAlias = Literal["model", "none", "linear", "yarn", "longrope"]
LoadMode: TypeAlias = Literal["auto", "mmap", "read", "mlock"]
Pooling: TypeAlias = Literal["mean", "cls", "last", "rank"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How llama.cpp keeps and computes a model. A number of 0 leaves the choice to the model or to llama.cpp.

    ``threads_batch`` is for steps that read prompts (0: as many as for others); ``n_ubatch`` is how many tokens are
    computed at once within a step (0: all of it); ``tensor_split`` the share of each graphics card. A quantised
    ``cache_type_v`` needs flash attention.
    """

    n_ubatch: int = 0
    threads_batch: int = 0
    cache_type_k: CacheType = "f16"
    cache_type_v: CacheType = "f16"
    flash_attention: FlashAttention = "auto"
    split_mode: SplitMode = "layer"
    tensor_split: tuple[float, ...] = ()
    main_gpu: int = 0
    rope_scaling: RopeScaling = "model"
    rope_freq_base: float = 0.0
    rope_freq_scale: float = 0.0
    yarn_orig_ctx: int = 0
    load_mode: LoadMode = "auto"
    pooling: Literal["model", "mean", "cls", "last"] = "model"


SpeculationKind: TypeAlias = Literal["none", "lookup", "model"]


@dataclass(frozen=True, slots=True)
class Speculation:
    """How next tokens are guessed: not, by looking up what the sequence said before, or by a smaller model at ``path``.

    A guess has at most ``tokens``.
    """

    kind: SpeculationKind = "none"
    tokens: int = 8
    path: str = ""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """A LoRA adapter of a model: ``scale`` is how strongly it applies to requests that say nothing; 0 is not at all."""

    name: str
    path: str
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model file and how to run it. Two specs with equal values may share one engine process.

    ``n_ctx`` is the context shared by all slots, in tokens (0: the model's own, at most 8,192); ``n_batch`` the most
    tokens of a step; ``slots`` the most sequences at once; ``threads`` 0 means one less than the cores this process
    may use; ``memory_bytes`` is what this engine and all others may take together (0: four fifths of what there is);
    ``keep_alive_s`` how long it stays loaded without work (0: not at all, negative: for good);
    ``prefix_sharing`` who may use what a request has left computed: nobody, its owner, or all, and
    ``prefix_memory_bytes`` how much of it may be kept in memory beside the cells (negative: as much as the cells take,
    within reason); ``projector`` is the file by which it reads images (none: it reads none).
    """

    name: str
    path: str
    runner: RunnerName = "llama"
    n_ctx: int = 0
    n_batch: int = 512
    slots: int = 8
    threads: int = 0
    queue_limit: int = 64
    queue_limit_per_owner: int = 16
    n_gpu_layers: int = 0
    memory_bytes: int = 0
    keep_alive_s: float = -1.0
    prefix_sharing: PrefixSharing = "owner"
    prefix_memory_bytes: int = -1
    tuning: Tuning = Tuning()
    adapters: tuple[AdapterSpec, ...] = ()
    projector: str = ""
    speculation: Speculation = Speculation()

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that it is loaded from; a split model is named by its first part."""
        adapters = (adapter.path for adapter in self.adapters)
        return tuple(path for path in (self.path, self.projector, self.speculation.path, *adapters) if path)


@dataclass(frozen=True, slots=True)
class Work:
    """One request on its way through the engine. ``id`` is unique per engine; ``deadline_s`` counts from submission.

    Slots and turns are shared evenly between owners. An empty ``owner`` is the host itself, which may fill the queue.
    ``keep_alive_s`` is how long the model stays loaded after it (0: not at all, negative: for good), from then on; None
    leaves that as it is.
    """

    id: str
    request: GenerateRequest
    owner: str = ""
    deadline_s: float | None = None
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class PooledWork:
    """A request whose texts are read in batches and answered with one row of numbers each."""

    id: str
    request: EmbedRequest | RerankRequest
    owner: str = ""
    deadline_s: float | None = None
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class TextWork:
    """A question that the vocabulary alone answers, at once."""

    id: str
    request: TokenizeRequest | DetokenizeRequest
    owner: str = ""
    deadline_s: float | None = None
    keep_alive_s: float | None = None


Job: TypeAlias = Work | PooledWork | TextWork


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one step yields for one request: a piece, or the final word (``finish`` with ``usage``, or ``error``)."""

    work_id: str
    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None
    error: BodhiError | None = None
    part: Part | None = None
    opening: str = ""

    @property
    def has_content(self) -> bool:
        """Whether it carries a piece of the answer, and is more than a word about it."""
        return self.text != "" or self.part is not None

    @property
    def is_final(self) -> bool:
        return self.finish is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a loaded model says of itself. ``size_bytes`` counts weights and KV cells as loaded.

    ``generates``, ``embeds`` and ``ranks`` are what it can be asked for. Vectors have ``width`` numbers, and
    ``longest_text`` is how many tokens one text may have; in pieces, where ``reads_in_pieces``. A batch has at most
    ``texts_at_once``. ``sequences`` are the sequence ids there are, of which no more than the slots run;
    ``reuse`` says whether any beginning of a sequence can be shared or only the whole of it; ``cell_bytes`` what a
    cell takes (0: that is not known).
    """

    n_ctx: int
    n_vocab: int
    size_bytes: int = 0
    description: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    sequences: int = 1
    reuse: Reuse = "beginnings"
    cell_bytes: int = 0
    generates: bool = True
    embeds: bool = False
    ranks: bool = False
    width: int = 0
    longest_text: int = 0
    reads_in_pieces: bool = False
    texts_at_once: int = 64


@dataclass(frozen=True, slots=True)
class EngineStats:
    """A snapshot for health, metrics and leak checks. ``cells_used`` belong to who runs, ``cells_cached`` to nobody.

    What ``cells_stowed`` had is in memory beside them. ``preemptions`` is how often a sequence had to give its place
    back and was computed again.
    """

    running: int = 0
    waiting: int = 0
    slots_used: int = 0
    slots_total: int = 0
    cells_used: int = 0
    cells_cached: int = 0
    cells_stowed: int = 0
    steps: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    preemptions: int = 0


UnloadReason: TypeAlias = Literal["idle", "room", "stopped", "ended"]
"""Its keep-alive ran out, another model needed the memory, an operator said so, or its process was told to end."""


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """An engine as everybody who shares it sees it; ``key`` tells it from others of the same model.

    ``progress`` is how much of the model is loaded, from 0 to 1. ``idle_s`` is None while it is at work, and
    ``expires_in_s`` when it stays for good or is at work. ``may_leave``: it would make room if another model came.
    ``files`` are those it is loaded from.
    """

    key: str
    model: str
    state: Literal["loading", "ready", "leaving", "silent"]
    pid: int = 0
    progress: float = 0.0
    reserved_bytes: int = 0
    n_ctx: int = 0
    hosts: int = 0
    under_way: int = 0
    running: int = 0
    waiting: int = 0
    slots: int = 0
    idle_s: float | None = None
    expires_in_s: float | None = None
    may_leave: bool = False
    files: tuple[str, ...] = ()


class Engine(Protocol):
    """One loaded model, wherever it runs. Thread and process engines behave alike; one test-suite holds them to it."""

    async def start(self) -> ModelFacts:
        """Load the model. Idempotent. Raises :class:`~bodhi_asgi.engine.errors.ModelLoadFailed` with the reason."""
        ...

    def submit(self, work: Job) -> AsyncIterator[Delta]:
        """Run one request. The last delta has ``finish`` and ``usage``; closing the iterator ends the work.

        Raises the errors of :mod:`bodhi_asgi.engine.errors` from the iterator, before or after deltas.
        """
        ...

    async def stats(self) -> EngineStats:
        """A snapshot of what runs and waits."""
        ...

    async def keep(self, keep_alive_s: float) -> None:
        """Stay loaded for so long without work, from now on; see :class:`Work`."""
        ...

    async def aclose(self) -> None:
        """End all work with :class:`~bodhi_asgi.engine.errors.EngineStopped` and release everything. Idempotent."""
        ...
