"""What a file is called as a model, and which of several revisions is meant."""

from collections.abc import Iterable
from typing import Final

from bodhi_asgi.gguf.names import base_of, qualifier
from bodhi_asgi.gguf.types import printable
from bodhi_asgi.shelf.errors import ModelFileNotFound
from bodhi_asgi.shelf.types import MAIN, LocalFile

MAX_NAME: Final = 512
SHOWN: Final = 200


def names_of(file: LocalFile) -> tuple[str, str]:
    """The two names that a grant may use: ``repo:qualifier``, and the whole of the file's name after the colon."""
    short, long = qualifier(file.filename), base_of(file.filename)
    return f"{file.repo}:{short}"[:MAX_NAME], f"{file.repo}:{long}"[:MAX_NAME]


def chosen(files: Iterable[LocalFile], repo: str, filename: str, snapshot: str) -> LocalFile | None:
    """Of several revisions of a file the one that is meant. Any part of a split model stands for all of it."""
    of_repo = [file for file in files if file.repo == repo]
    # A model that lacks its first part goes by the first that is there.
    named = [file for file in of_repo if file.filename == filename or filename in file.shards]
    if snapshot != MAIN:
        return next((file for file in named if file.snapshot == snapshot), None)
    return max(named, key=lambda file: (file.is_current, file.snapshot), default=None)


def not_found(repo: str, filename: str) -> ModelFileNotFound:
    """The refusal to speak of a file."""
    named = f"'{printable(filename, SHOWN)}' of '{printable(repo, SHOWN)}'"
    return ModelFileNotFound(f"there is no model file {named} here", param="filename")
