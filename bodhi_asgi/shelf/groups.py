"""From the files of one folder to models: the parts of a split one are one, and a projector stands beside its model."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Final

from bodhi_asgi.shelf.types import LocalFile

NUMBERED: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)
PROJECTOR: Final = re.compile(r"(^|[^a-z])mmproj([^a-z]|$)", re.IGNORECASE)
MAX_PARTS: Final = 4096
PREFERRED: Final = ("f16", "bf16", "f32", "q8_0")
"""Of projectors that fit equally well, in this order."""


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
    """The models and projectors that the pieces make."""
    alone, split = _sorted_out(pieces)
    files = []
    for parts in (*([piece] for piece in alone), *split):
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
                shards=tuple(part.name for part in parts) if NUMBERED.fullmatch(first.name) else (),
                is_projector=PROJECTOR.search(first.name.rpartition("/")[2]) is not None,
                problem=next((part.problem for part in parts if part.problem), "") or _incomplete(parts),
            )
        )
    projectors = [file for file in files if file.is_projector]
    return [file if file.is_projector else replace(file, projector=_beside(file, projectors)) for file in files]


def _sorted_out(pieces: Iterable[Piece]) -> tuple[list[Piece], list[list[Piece]]]:
    """Files in one piece, and the parts of each split model in order."""
    alone: list[Piece] = []
    split: dict[tuple[str, str], list[Piece]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.name):
        numbered = NUMBERED.fullmatch(piece.name)
        if numbered is None:
            alone.append(piece)
        else:
            split.setdefault((numbered["stem"], numbered["total"]), []).append(piece)
    return alone, list(split.values())


def _incomplete(parts: list[Piece]) -> str:
    numbered = NUMBERED.fullmatch(parts[0].name)
    if numbered is None:
        return ""
    total = int(numbered["total"])
    if not 1 <= total <= MAX_PARTS:
        return f"it claims to have {total} parts"
    there = {int(found["number"]) for part in parts if (found := NUMBERED.fullmatch(part.name))}
    missing = sorted(set(range(1, total + 1)) - there)
    return f"it lacks {len(missing)} of its {total} parts, first number {missing[0]}" if missing else ""


def _beside(model: LocalFile, projectors: list[LocalFile]) -> str:
    """The projector in the model's own folder or above it whose name has most in common with it; often none."""
    folder = model.filename.rpartition("/")[0]
    near = [file for file in projectors if file.filename.rpartition("/")[0] in (folder, "")]
    if not near or (not model.in_cache and not any(_likeness(model, file) for file in near)):
        return ""
    best = max(near, key=lambda file: (not file.problem, _likeness(model, file), -_rank(file), file.filename))
    return best.filename


def _likeness(model: LocalFile, projector: LocalFile) -> int:
    """How many characters the names begin with in common, the mark of a projector left out."""
    stem = PROJECTOR.sub("-", _stem(projector)).strip("-._")
    same = takewhile(lambda pair: pair[0] == pair[1], zip(_stem(model), stem, strict=False))
    return sum(1 for _ in same)


def _stem(file: LocalFile) -> str:
    return file.filename.rpartition("/")[2].lower().removesuffix(".gguf")


def _rank(projector: LocalFile) -> int:
    stem = _stem(projector)
    return next((place for place, kind in enumerate(PREFERRED) if stem.endswith(kind)), len(PREFERRED))
