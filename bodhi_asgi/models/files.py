"""From the value of the ``models`` setting to a file: a path, or a file that already lies in the Hugging Face cache.

A hub reference is written ``owner/repo/file.gguf``. Nothing is downloaded here.
"""

import re
from pathlib import Path
from typing import Final

from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.models.errors import ModelFileMissing

HUB_REFERENCE: Final = re.compile(r"(?P<repo>[\w.-]{1,96}/[\w.-]{1,96})/(?P<file>[^\\\0]{1,255}\.gguf)")


def locate(name: str, reference: str) -> Path:
    """The file behind ``reference``. Blocking: reads the file system.

    Raises :class:`~bodhi_asgi.models.errors.ModelFileMissing` when there is none, saying where it was looked for.
    """
    path = Path(reference).expanduser()
    if path.is_file():
        return path.resolve()
    hub = HUB_REFERENCE.fullmatch(reference)
    if hub is not None and ".." not in reference:
        cached = _in_hub_cache(hub["repo"], hub["file"])
        if cached is not None:
            return cached
        raise ModelFileMissing(
            f"model '{name}': '{hub['file']}' of '{hub['repo']}' is not in the Hugging Face cache of this machine",
            model=name,
        )
    raise ModelFileMissing(f"model '{name}': there is no file at '{path}'", model=name)


def _in_hub_cache(repo: str, file: str) -> Path | None:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        raise MissingDependency("a model named by hub reference", "hub") from None
    found = try_to_load_from_cache(repo, file)
    return Path(found) if isinstance(found, str) else None
