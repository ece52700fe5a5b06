"""How much memory an engine will take for a model, told from the file before anything is loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.memory import cache_bytes
from bodhi_asgi.gguf.parts import parts
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.types import GgufInvalid

CONTEXT_MULTIPLE: Final = 256
LARGEST_DEFAULT_CONTEXT: Final = 8192


def context_tokens(n_ctx: int, trained: int) -> int:
    """Tokens that a context is made for, given the setting (0: the model's own, up to a bound) and the training's."""
    wanted = n_ctx or min(trained or LARGEST_DEFAULT_CONTEXT, LARGEST_DEFAULT_CONTEXT)
    return max(CONTEXT_MULTIPLE, -(-wanted // CONTEXT_MULTIPLE) * CONTEXT_MULTIPLE)


@dataclass(frozen=True, slots=True)
class ModelMemory:
    """Bytes of the weights (all parts of a split model), and of the cache for ``context_tokens`` (None: unknown)."""

    architecture: str
    weight_bytes: int
    cache_bytes: int | None
    context_tokens: int

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + (self.cache_bytes or 0)


def model_memory(path: Path, n_ctx: int) -> ModelMemory:
    """Look at a model file. Blocking. Raises ModelLoadFailed for one that is unreadable, no model, or cut off."""
    try:
        header = read_header(path)
        check(header, path.stat().st_size)
        size = sum(part.stat().st_size for part in parts(path))
    except OSError as error:
        raise ModelLoadFailed(f"the model file '{path}' cannot be read: {error.strerror}") from None
    except GgufInvalid as error:
        raise ModelLoadFailed(f"the model file '{path}' cannot be used: {error.message}") from None
    tokens = context_tokens(n_ctx, header.number("context_length"))
    return ModelMemory(header.architecture, size, cache_bytes(header, tokens), tokens)
