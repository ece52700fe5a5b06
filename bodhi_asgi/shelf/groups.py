"""From the files of one folder to models: the parts of a split one are one, and a projector stands beside its model."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bodhi_asgi.gguf.names import MAX_PARTS, base_of, kind_of, part_of
from bodhi_asgi.gguf.offers import projector_beside
from bodhi_asgi.shelf.types import LocalFile


@dataclass(frozen=True, slots=True)
class Piece:
    """One file: its name within the snapshot or folder, and what a look from outside tells."""

    name: str
    size_bytes: int
    modified_ns: int
    problem: str = ""


def grouped(
    pieces: Iterable[Piece], *, repo: str, snapshot: str, folder: Path, is_current: bool, in_cache: bool
) -> list[LocalFile]:
    """The models, projectors and other files that the pieces make."""
    files = []
    for parts in _sorted_out(pieces):
        first = parts[0]
        files.append(
            LocalFile(
                repo=repo,
                filename=first.name,
                snapshot=snapshot,
                path=folder / first.name,
                size_bytes=sum(part.size_bytes for part in parts),
                modified_ns=max(part.modified_ns for part in parts),
                is_current=is_current,
                in_cache=in_cache,
                shards=tuple(part.name for part in parts) if part_of(first.name) else (),
                is_projector=kind_of(first.name) == "projector",
                problem=next((part.problem for part in parts if part.problem), "") or _incomplete(parts),
            )
        )
    projectors = [file for file in files if file.is_projector]
    if not projectors:
        return files
    return [file if file.is_projector else replace(file, projector=_beside(file, projectors)) for file in files]


def _sorted_out(pieces: Iterable[Piece]) -> list[list[Piece]]:
    """Files in one piece, and the parts of each split model in order."""
    models: dict[tuple[str, int], list[Piece]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.name):
        part = part_of(piece.name)
        # Every file in one piece has a name of its own.
        key = (piece.name, 0) if part is None else (part.prefix, part.count)
        models.setdefault(key, []).append(piece)
    return list(models.values())


def _incomplete(parts: list[Piece]) -> str:
    """Which parts are missing, in words."""
    numbers = [part for piece in parts if (part := part_of(piece.name)) is not None]
    if not numbers:
        return ""
    total = numbers[0].count
    if total > MAX_PARTS:
        return f"it claims to have {total} parts"
    missing = sorted(set(range(1, total + 1)) - {part.number for part in numbers})
    return f"it lacks {len(missing)} of its {total} parts, first number {missing[0]}" if missing else ""


def _beside(model: LocalFile, projectors: list[LocalFile]) -> str:
    """The name of the projector that goes with a model.

    In a plain folder, where many models may lie, only one that is named after it.
    """
    if not model.in_cache:
        projectors = [file for file in projectors if _stem(model).split("-")[0] in _stem(file).split("-")]
    found = projector_beside(model, [file for file in projectors if not file.problem])
    return "" if found is None else found.filename


def _stem(file: LocalFile) -> str:
    return base_of(file.filename).rpartition("/")[2].lower()
