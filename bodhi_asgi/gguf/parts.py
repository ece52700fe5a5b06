"""Models in several files: ``name-00001-of-00003.gguf`` and its siblings are one."""

import re
from pathlib import Path
from typing import Final

from bodhi_asgi.gguf.types import GgufInvalid

NUMBERED: Final = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")


def parts(path: Path) -> list[Path]:
    """All files of the model that begins with ``path``, in order. Raises GgufInvalid when one is missing."""
    found = NUMBERED.search(path.name)
    if found is None:
        return [path]
    stem = path.name[: found.start()]
    files = [path.with_name(f"{stem}-{number:05}-of-{found[2]}.gguf") for number in range(1, int(found[2]) + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise GgufInvalid(f"it lacks {len(missing)} of its {len(files)} parts, first '{missing[0]}'")
    return files
