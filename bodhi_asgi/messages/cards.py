"""What may be told of a model to those who list models."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

ModelSource: TypeAlias = Literal["setting", "demo", "alias", "file"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a caller may know of a model. ``usable`` is false for one that is listed and locked.

    ``created`` is in Unix seconds (the file's time), 0 when unknown.
    """

    id: str
    source: ModelSource
    created: int
    owned_by: str = "system"
    usable: bool = True


ModelCards: TypeAlias = Sequence[ModelCard]
