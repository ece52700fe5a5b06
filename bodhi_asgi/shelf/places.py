"""Where model files are looked for: the Hugging Face cache, and the plain folders of the settings."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bodhi_asgi.shelf.types import Place

UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def places(cache: Path, folders: Sequence[Path]) -> tuple[Place, ...]:
    """The cache, and each folder under its own last name, which tells two of them apart."""
    found = [Place(cache)]
    for folder in folders:
        name = UNNAMEABLE.sub("-", folder.name).strip("-.")[:80] or "models"
        taken = {place.name for place in found}
        number = 2
        unique = name
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        found.append(Place(folder, unique))
    return tuple(found)
