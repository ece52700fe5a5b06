"""The sections of the configuration: one frozen model per family, a description and a range per field."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bodhi_asgi.settings import checks
from bodhi_asgi.settings.section import Section
from bodhi_asgi.settings.tuning import ModelTuning, check_together


class DatabaseSettings(Section):
    """How the database is reached."""

    pool_size: Annotated[int, Field(ge=1, le=64, description="Connections kept open at most.")] = 5
    timeout_s: Annotated[
        float, Field(gt=0, le=600, description="Seconds to wait for a connection or a lock before giving up.")
    ] = 15
    schema_name: Annotated[
        str | None,
        Field(description="PostgreSQL schema for our tables; the default one if unset."),
    ] = None

    @field_validator("schema_name")
    @classmethod
    def _check_schema_name(cls, value: str | None) -> str | None:
        return value if value is None else checks.schema_name(value)


class EngineSettings(ModelTuning):
    """How models are run."""

    isolation: Annotated[
        Literal["process", "thread"],
        Field(description="Run each model in a process of its own, or in a thread of the host (scripts and tests)."),
    ] = "process"
    runner: Annotated[
        Literal["llama", "echo", "poison"],
        Field(description="What computes the tokens: llama.cpp, or one of the two runners that tests use."),
    ] = "llama"
    queue_limit: Annotated[
        int, Field(ge=0, le=10_000, description="Requests that may wait for a slot; more get 429.")
    ] = 64
    queue_limit_per_caller: Annotated[
        int, Field(ge=0, le=10_000, description="Requests of one caller that may wait for a slot; more get 429.")
    ] = 16
    memory_bytes: Annotated[
        int,
        Field(
            ge=0,
            le=2**53,
            description="Bytes of main memory that all models together may take; 0 takes four fifths of what there is.",
        ),
    ] = 0
    linger_s: Annotated[
        float, Field(ge=0, le=86_400, description="Seconds an engine process stays after its last client has left.")
    ] = 10
    start_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="Seconds an engine may take to start and load its model.")
    ] = 120
    load_patience_s: Annotated[
        float,
        Field(ge=0, le=3600, description="Seconds a load goes on after the last who waited for it has gone."),
    ] = 2
    request_timeout_s: Annotated[
        float | None, Field(gt=0, le=86_400, description="Seconds one request may take in all; unset means no limit.")
    ] = 600

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        check_together(self, "engine")
        return self


class LimitSettings(Section):
    """How much one request may ask for."""

    body_bytes: Annotated[
        int, Field(ge=1024, le=256 * 1024 * 1024, description="Most bytes of a request body; more get 413.")
    ] = 4 * 1024 * 1024
    messages: Annotated[int, Field(ge=1, le=100_000, description="Most messages in a conversation.")] = 2048
    choices: Annotated[int, Field(ge=1, le=128, description="Most answers to one prompt (`n` and `best_of`).")] = 8
    prompts: Annotated[
        int, Field(ge=1, le=1024, description="Most prompts of a completion, and most answers to all of them together.")
    ] = 16
    stop_strings: Annotated[int, Field(ge=0, le=1024, description="Most stop strings.")] = 16
    stop_bytes: Annotated[int, Field(ge=1, le=65_536, description="Most bytes of a stop string.")] = 256
    logit_bias: Annotated[int, Field(ge=0, le=1_000_000, description="Most entries of a logit bias.")] = 1024
    tools: Annotated[int, Field(ge=1, le=128, description="Most tools of a request.")] = 128
    inputs: Annotated[int, Field(ge=1, le=100_000, description="Most texts of a request for embeddings.")] = 2048
    documents: Annotated[int, Field(ge=1, le=100_000, description="Most documents of a request for rerank.")] = 1000
    images: Annotated[int, Field(ge=0, le=64, description="Most images of a request.")] = 4
    image_bytes: Annotated[
        int, Field(ge=0, le=12 * 1024 * 1024, description="Most bytes that the images of a request have together.")
    ] = 10 * 1024 * 1024
    image_pixels: Annotated[
        int, Field(ge=64, le=100_000_000, description="Most pixels of an image, which is 3 bytes each when decoded.")
    ] = 20_000_000


class TokenSettings(Section):
    """API tokens."""

    lifetime_days: Annotated[
        int, Field(ge=1, le=3650, description="Days until a token expires that was created without its own term.")
    ] = 90


class DownloadSettings(Section):
    """Downloads from the hub."""

    parallel: Annotated[
        int,
        Field(ge=0, le=16, description="Downloads that this process does at once; 0 leaves them to other processes."),
    ] = 2
    attempts: Annotated[
        int,
        Field(ge=1, le=1000, description="Attempts in a row that may bring nothing before a download has failed."),
    ] = 8


class CacheSettings(Section):
    """Caches in memory."""

    max_entries: Annotated[int, Field(ge=1, le=10_000_000, description="Most entries kept.")] = 10_000
    ttl_s: Annotated[float, Field(gt=0, le=86_400, description="Seconds an entry is believed.")] = 60


class ShelfSettings(Section):
    """The model files on this machine."""

    folders: Annotated[
        tuple[Path, ...],
        Field(description="Folders of GGUF files that are offered besides the Hugging Face cache; never written to."),
    ] = ()
    watch_s: Annotated[
        float, Field(ge=0.1, le=3600, description="Seconds between looks at what has been added or removed by hand.")
    ] = 2

    max_cache_bytes: Annotated[
        int,
        Field(
            ge=0,
            le=2**53,
            description="Bytes that the models in the cache may have together; beyond them the least recently used are "
            "removed, never one that is loaded, has an alias or stands in the settings. 0 sets no limit.",
        ),
    ] = 0

    @field_validator("folders", mode="before")
    @classmethod
    def _read_folders(cls, value: object) -> object:
        return checks.folders(value)
