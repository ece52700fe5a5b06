"""LoRA adapters of one model, as an entry of ``models`` names them: a path, or a table with a scale of its own."""

import re
from os import PathLike, fspath
from typing import Annotated, Final

from pydantic import Field

from bodhi_asgi.settings import checks
from bodhi_asgi.settings.frozen import FrozenDict
from bodhi_asgi.settings.section import Section

ADAPTER_NAME: Final = re.compile(r"[A-Za-z0-9][\w.:@+-]{0,127}", re.ASCII)
MAX_ADAPTERS: Final = 16
MAX_SCALE: Final = 16


class AdapterSettings(Section):
    """One adapter: where its file is, and how strongly it applies to requests that say nothing of adapters."""

    path: str
    scale: Annotated[float, Field(ge=-MAX_SCALE, le=MAX_SCALE)] = 1.0

    def __str__(self) -> str:
        return f"{self.path}@{self.scale:g}"


def read_adapters(value: object) -> object:
    """Adapters by name, each a path or a table. Raises ValueError in plain words."""
    if not isinstance(value, dict):
        raise ValueError("a table of names and paths is accepted")  # noqa: TRY004  # for pydantic
    if len(value) > MAX_ADAPTERS:
        raise ValueError(f"{len(value)} adapters are too many; {MAX_ADAPTERS} are accepted")
    return FrozenDict({name: _adapter(name, entry) for name, entry in value.items()})


def _adapter(name: object, entry: object) -> AdapterSettings:
    if isinstance(entry, AdapterSettings):
        return entry
    if not isinstance(name, str) or ADAPTER_NAME.fullmatch(name) is None:
        raise ValueError(
            f"an adapter cannot be called {str(name)[:60]!r}: 1 to 128 letters, digits and . : @ + - _ are accepted, "
            "with a letter or digit first"
        )
    table = entry if isinstance(entry, dict) else {"path": entry}
    if unknown := table.keys() - AdapterSettings.model_fields.keys():
        raise ValueError(f"the adapter '{name}' has no setting {min(map(repr, unknown))[:60]}; path and scale are")
    scale = table.get("scale", 1.0)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not -MAX_SCALE <= scale <= MAX_SCALE:
        raise ValueError(f"the scale of the adapter '{name}' is a number from -{MAX_SCALE} to {MAX_SCALE}")
    return AdapterSettings(path=_path(name, table.get("path")), scale=scale)


def _path(name: str, reference: object) -> str:
    if not isinstance(reference, str | PathLike):
        raise ValueError(f"the adapter '{name}' needs a path as text")  # noqa: TRY004  # for pydantic
    return checks.file_reference(str(fspath(reference)), f"the adapter '{name}'")
