"""A model's file as it describes itself."""

from dataclasses import dataclass
from pathlib import Path

from bodhi_asgi.engine.memory import model_memory


@dataclass(frozen=True, slots=True)
class Header:
    """``size_bytes`` counts all parts of a split model."""

    path: Path
    architecture: str
    size_bytes: int

    def cells(self, n_ctx: int) -> int:
        """Tokens of context an engine makes room for, given the setting ``engine.n_ctx``."""
        return model_memory(self.path, n_ctx).context_tokens

    def kv_bytes(self, n_ctx: int) -> int | None:
        """Bytes of keys and values for that context, or None when the header does not tell the sizes."""
        return model_memory(self.path, n_ctx).cache_bytes


def read_header(path: Path) -> Header:
    """Read the header of the file and find its other parts. Blocking. Raises ModelLoadFailed."""
    found = model_memory(path, 0)
    return Header(path, found.architecture, found.weight_bytes)
