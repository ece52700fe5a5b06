"""How models are loaded and computed: in the section ``engine`` for all, in an entry of ``models`` for one.

Each is a choice of its own with a range. Nothing is passed on to llama.cpp that has not been understood here.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Discriminator, Field, Tag, field_validator
from pydantic_core import PydanticCustomError

from bodhi_asgi.settings import checks
from bodhi_asgi.settings.adapters import AdapterSettings, read_adapters
from bodhi_asgi.settings.frozen import FrozenDict
from bodhi_asgi.settings.section import Section

CacheType: TypeAlias = Literal["f16", "bf16", "f32", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]

MAX_DEVICES = 16
"""As many as llama.cpp knows."""


class ModelTuning(Section):
    """What may differ from model to model."""

    n_ctx: Annotated[
        int,
        Field(
            ge=0, le=1_048_576, description="Tokens of context shared by all slots; 0 takes the model's, at most 8192."
        ),
    ] = 0
    n_batch: Annotated[int, Field(ge=32, le=8192, description="Most tokens computed in one step.")] = 512
    n_ubatch: Annotated[
        int,
        Field(ge=0, le=8192, description="Tokens llama.cpp computes at once within a step; 0 takes all of the step."),
    ] = 0
    slots: Annotated[int, Field(ge=1, le=256, description="Most requests that run at the same time.")] = 8
    threads: Annotated[int, Field(ge=0, le=256, description="Threads of llama.cpp; 0 leaves one core to the host.")] = 0
    threads_batch: Annotated[
        int, Field(ge=0, le=256, description="Threads for steps that read prompts; 0 takes as many as threads.")
    ] = 0
    prefix_sharing: Annotated[
        Literal["none", "caller", "all"],
        Field(
            description="Who may use what a request has left computed of a prompt: nobody, its caller, or all; "
            "with all, the time to the first token tells what others have asked."
        ),
    ] = "caller"
    prefix_memory_bytes: Annotated[
        int,
        Field(
            ge=-1,
            le=1024**4,
            description="Memory beside the cells for what requests have left computed; -1 takes as much as the cells, "
            "at most 256 MiB.",
        ),
    ] = -1
    keep_alive_s: Annotated[
        float,
        Field(
            ge=-1,
            le=31_536_000,
            description="Seconds a model stays loaded without work; 0 unloads it at once, -1 never by itself.",
        ),
    ] = 300
    n_gpu_layers: Annotated[
        int, Field(ge=-1, le=1000, description="Layers computed on the GPU, for builds that have one; -1 means all.")
    ] = 0
    split_mode: Annotated[
        Literal["layer", "row", "none"],
        Field(description="How several GPUs share a model: by layers, by rows, or one GPU has it all."),
    ] = "layer"
    tensor_split: Annotated[
        tuple[float, ...],
        Field(
            max_length=MAX_DEVICES, description="Share of the model for each GPU, such as 3,1; by free memory if empty."
        ),
    ] = ()
    main_gpu: Annotated[
        int,
        Field(ge=0, lt=MAX_DEVICES, description="The GPU that has it all, or the small tensors of a split by rows."),
    ] = 0
    cache_type_k: Annotated[
        CacheType, Field(description="How the keys of the context are kept; smaller types take less memory.")
    ] = "f16"
    cache_type_v: Annotated[
        CacheType, Field(description="How the values of the context are kept; a quantised type needs flash attention.")
    ] = "f16"
    flash_attention: Annotated[
        Literal["auto", "on", "off"], Field(description="Flash attention; auto lets llama.cpp try whether it can.")
    ] = "auto"
    rope_scaling: Annotated[
        Literal["model", "none", "linear", "yarn", "longrope"],
        Field(description="How positions are stretched beyond the context a model was trained for."),
    ] = "model"
    rope_freq_base: Annotated[
        float, Field(ge=0, le=1e12, description="Base frequency of the positions; 0 takes the model's.")
    ] = 0
    rope_freq_scale: Annotated[
        float,
        Field(ge=0, le=1000, description="Factor on the frequencies, such as 0.5 for twice the context; 0: model's."),
    ] = 0
    yarn_orig_ctx: Annotated[
        int,
        Field(ge=0, le=1_048_576, description="The context a model was trained for, for YaRN; 0 takes the model's."),
    ] = 0
    load_mode: Annotated[
        Literal["auto", "mmap", "read", "mlock"],
        Field(description="Map the file, read it, or read it and never swap it out; auto maps what is used as it is."),
    ] = "auto"
    pooling: Annotated[
        Literal["model", "mean", "cls", "last"],
        Field(description="How vectors of tokens become one of the text; model takes what the file says, or nothing."),
    ] = "model"

    speculation: Annotated[
        Literal["none", "lookup"],
        Field(
            description="Guess next tokens and compute them in one step: lookup takes what an answer repeats of its "
            "prompt. Answers stay the same; a model with a draft model guesses by that."
        ),
    ] = "none"
    draft_tokens: Annotated[int, Field(ge=1, le=32, description="Most tokens of a guess.")] = 8

    @field_validator("tensor_split", mode="before")
    @classmethod
    def _read_shares(cls, value: object) -> object:
        return checks.shares(value)


class ModelSettings(ModelTuning):
    """One model: where its file is, and in what it differs from the section ``engine``."""

    path: Annotated[str, Field(description="A path to a GGUF file, or owner/repo/file.gguf in the Hugging Face cache.")]
    adapters: Annotated[
        dict[str, AdapterSettings],
        Field(description="LoRA adapters by name: a path, or a table with path and scale; requests choose by name."),
    ] = FrozenDict()

    mmproj: Annotated[
        str | None,
        Field(description="The projector by which the model reads images: a GGUF file, named as path is."),
    ] = None

    draft: Annotated[
        str | None,
        Field(description="A smaller model of the same vocabulary that guesses next tokens: a file, named as path is."),
    ] = None

    @field_validator("mmproj", "draft", mode="before")
    @classmethod
    def _check_file(cls, value: object) -> object:
        return value if value is None else checks.file_reference(str(value), "it")

    @field_validator("adapters", mode="before")
    @classmethod
    def _read_adapters(cls, value: object) -> object:
        return read_adapters(value)

    @field_validator("adapters")
    @classmethod
    def _freeze_adapters(cls, value: dict[str, AdapterSettings]) -> dict[str, AdapterSettings]:
        return FrozenDict(value)

    @property
    def changes(self) -> dict[str, object]:
        """What was said of this model besides its path."""
        return {name: getattr(self, name) for name in ModelTuning.model_fields if name in self.model_fields_set}

    def __str__(self) -> str:
        files = {"adapters": self.adapters, "mmproj": self.mmproj, "draft": self.draft}
        said = {**self.changes, **{name: value for name, value in files.items() if value}}
        return " ".join([self.path, *(f"{name}={checks.shown(value)}" for name, value in said.items())])


def _form_of(entry: Any) -> str:
    return "path" if isinstance(entry, str) else "table"


ModelEntry: TypeAlias = Annotated[
    Annotated[str, Tag("path")] | Annotated[ModelSettings, Tag("table")], Discriminator(_form_of)
]
"""A model as the setting ``models`` has it: its path, or a table of what there is to say."""

T = TypeVar("T", bound=ModelTuning)


def path_of(entry: str | ModelSettings) -> str:
    """Where the model is."""
    return entry.path if isinstance(entry, ModelSettings) else entry


def adapters_of(entry: str | ModelSettings) -> Mapping[str, AdapterSettings]:
    """The model's adapters by name."""
    return entry.adapters if isinstance(entry, ModelSettings) else {}


def projector_of(entry: str | ModelSettings) -> str | None:
    """Where the model's projector is."""
    return entry.mmproj if isinstance(entry, ModelSettings) else None


def draft_of(entry: str | ModelSettings) -> str | None:
    """Where the model's draft model is."""
    return entry.draft if isinstance(entry, ModelSettings) else None


def tuned(settings: T, entry: str | ModelSettings) -> T:
    """The settings for this model: ``settings``, and what is said of the model itself in their place."""
    return settings.model_copy(update=entry.changes) if isinstance(entry, ModelSettings) else settings


def check_together(settings: ModelTuning, where: str) -> None:
    """Raise a validation error, which names a setting below ``where``, when two of them contradict each other."""
    if settings.cache_type_v not in ("f16", "bf16", "f32") and settings.flash_attention == "off":
        raise _contradiction(
            f"{where}.cache_type_v",
            f"'{settings.cache_type_v}' needs flash attention: set flash_attention to 'auto' or 'on', or keep the "
            "values in 'f16'",
        )
    if settings.slots > settings.n_batch:
        # llama.cpp ends the process over it when it makes the context.
        raise _contradiction(
            f"{where}.slots", f"{settings.slots} is more than a step has tokens, which is n_batch = {settings.n_batch}"
        )
    if settings.n_ubatch > settings.n_batch:
        raise _contradiction(
            f"{where}.n_ubatch", f"{settings.n_ubatch} is more than a step has, which is n_batch = {settings.n_batch}"
        )


def _contradiction(name: str, text: str) -> PydanticCustomError:
    return PydanticCustomError("contradiction", "the setting '{name}': {text}", {"name": name, "text": text})
