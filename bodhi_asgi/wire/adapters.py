"""Which LoRA adapters a request asks for: by the names that the model's settings give them, never by a file.

``lora`` is the name llama.cpp's server has for it, which takes the numbers of its own list instead.
"""

from collections.abc import Sequence
from typing import Annotated, TypeAlias

from pydantic import Field

from bodhi_asgi.messages.generation import AdapterChoice
from bodhi_asgi.validation import WireModel


class AdapterUse(WireModel):
    """An adapter that the model's settings name, and how strongly it applies; its own scale if none is given."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    scale: Annotated[float, Field(ge=-16, le=16)] | None = None


AdapterUses: TypeAlias = Annotated[list[AdapterUse], Field(max_length=16, fail_fast=True)]


def adapters_of(wire: Sequence[AdapterUse] | None) -> tuple[AdapterChoice, ...] | None:
    """The neutral value; None leaves the model's own adapters."""
    return None if wire is None else tuple(AdapterChoice(one.name, one.scale) for one in wire)
