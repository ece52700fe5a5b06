"""Folders that may not exist yet: what will become of them, told by the nearest one above that does."""

import os
import stat
from pathlib import Path
from typing import Final

OTHERS: Final = 0o077


def standing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that exists. What lies below a file does not exist."""
    for candidate in (path, *path.parents):
        try:
            candidate.lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        return candidate
    return path


def mode_of(found: os.stat_result) -> str:
    """The permission bits as people write them: ``0700``."""
    return f"{stat.S_IMODE(found.st_mode):04o}"


def is_open_to_others(found: os.stat_result) -> bool:
    """Whether anybody but the owner may do anything with it."""
    return bool(stat.S_IMODE(found.st_mode) & OTHERS)
