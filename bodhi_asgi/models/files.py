"""From the value of the ``models`` setting to a file: a path, or a file that already lies in the Hugging Face cache.

A hub reference is written ``owner/repo/file.gguf``. Nothing is downloaded here.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.gguf.names import first_of, part_of
from bodhi_asgi.gguf.parts import parts
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.models.errors import ModelFileMissing

HUB_REFERENCE: Final = re.compile(r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})/(?P<file>[^\\\0]{1,255}\.gguf)")

MAX_LINKS: Final = 40
"""Of links that lead to links; the kernel follows no more."""


def locate(name: str, reference: str) -> Path:
    """The file behind ``reference``. Blocking: reads the file system.

    Raises :class:`~bodhi_asgi.models.errors.ModelFileMissing` when there is none, saying where it was looked for.
    """
    path = Path(reference).expanduser()
    if path.is_file():
        return _placed(path)
    hub = HUB_REFERENCE.fullmatch(reference)
    if hub is not None and ".." not in reference:
        cached = _in_hub_cache(hub["repo"], first_of(hub["file"]))
        if cached is not None:
            return cached
        raise ModelFileMissing(
            f"model '{name}': '{hub['file']}' of '{hub['repo']}' is not in the Hugging Face cache of this machine",
            model=name,
        )
    raise ModelFileMissing(f"model '{name}': there is no file at '{path}'", model=name)


def _placed(path: Path) -> Path:
    """Where a file really lies; but a part of a split model leads to the first, among the others and by its name.

    In the Hugging Face cache that is among links, and what they lead to has names that tell nothing.
    """
    place = path
    for _ in range(MAX_LINKS):
        with suppress(GgufInvalid):
            if part_of(place.name) is not None and parts(place):
                return place.parent.resolve() / first_of(place.name)
        if not place.is_symlink():
            break
        place = place.parent / place.readlink()
    return path.resolve()


def _in_hub_cache(repo: str, file: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        raise MissingDependency("a model named by hub reference", "hub") from None
    found = try_to_load_from_cache(repo, file)
    return Path(found) if isinstance(found, str) else None
