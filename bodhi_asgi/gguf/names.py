"""What the name of a model file tells: its quantisation, its part of a split model, and what else it may be.

Names are only a promise: the header has the last word. But a repository's files are chosen by name, before any is read.
Sources: ``llama_split_path`` of llama.cpp for parts; its ``common/download.cpp`` and the repositories of those who
quantise for the rest.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

FileKind: TypeAlias = Literal["model", "projector", "adapter", "companion", "other"]
"""``companion``: a small model that drafts for another; ``other``: no GGUF, or one with no model in it."""

SUFFIX: Final = ".gguf"
MAX_PARTS: Final = 1024
"""More files than any model is split into."""

PART: Final = re.compile(r"(?<=[^/])-([0-9]{5})-of-([0-9]{5})$")
QUANTISATION: Final = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?P<dynamic>UD[-_])?"
    r"(?P<label>"
    r"I?Q[1-8](?:_[01](?:_[48]_[48])?|_K(?:_(?:XXS|XS|S|M|L|XL))?|_(?:NL|XXS|XS|S|M|L|XL|KSS|KS|KT|KL))?(?:_R[48])?"
    r"|I2_S|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|B?F16|FP16|F32|FP32|FP8"
    r")(?![A-Za-z0-9])",
    re.IGNORECASE,
)
PRECISIONS: Final = {"FP16": "F16", "FP32": "F32"}
UNQUANTISED: Final = frozenset(("F64", "F32", "F16", "BF16"))

COMPANIONS: Final = re.compile(r"(?:^|[-_.])(?:mtp|eagle3|dflash|dspark)-", re.IGNORECASE)
ADAPTERS: Final = re.compile(r"(?:^|[-_.])(?:lora|adapter)(?:[-_.]|$)", re.IGNORECASE)
WITHOUT_MODEL: Final = re.compile(r"imatrix|(?:^|[-_.])vocab(?:[-_.]|$)|control[-_]?vector", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """Which file of a split model: ``number`` from 1 to ``count``; ``prefix`` is what the names have in common."""

    prefix: str
    number: int
    count: int

    def name(self, number: int) -> str:
        """The name of another part."""
        return f"{self.prefix}-{number:05}-of-{self.count:05}{SUFFIX}"


def part_of(name: str) -> Part | None:
    """Which part of a split model a file is by its name, or None for one that stands by itself."""
    stem = _stem(name)
    found = PART.search(stem or "")
    if stem is None or found is None:
        return None
    number, count = int(found[1]), int(found[2])
    return Part(stem[: found.start()], number, count) if 1 <= number <= count else None


def first_of(name: str) -> str:
    """The name of the first part of the model that a file is a part of; for any other file its own name."""
    part = part_of(name)
    return f"{part.prefix}-00001-of-{part.count:05}{name[-len(SUFFIX) :]}" if part else name


def base_of(name: str) -> str:
    """The name without its ending and without the number of its part; the same for all files of one model."""
    part = part_of(name)
    return part.prefix if part else _stem(name) or name


def kind_of(name: str) -> FileKind:
    """What a file is, as far as its name tells. Folders do not count."""
    if _stem(name) is None:
        return "other"
    base = base_of(name).rpartition("/")[2]
    if "mmproj" in base.lower():
        return "projector"
    if WITHOUT_MODEL.search(base):
        return "other"
    if COMPANIONS.search(base):
        return "companion"
    return "adapter" if ADAPTERS.search(base) else "model"


def qualifier(name: str) -> str:
    """What tells a model's files apart: the text behind the last ``-`` of the last part of the name between dots.

    ``Qwen2.5-7B-Instruct-Q4_K_M.gguf`` and ``Llama-3-8B.Q4_K_M.gguf`` both have ``Q4_K_M``; a part's number is no
    part of it.
    """
    base = base_of(name).rpartition("/")[2]
    return base.rpartition(".")[2].rpartition("-")[2] or base


def quantisation(name: str) -> str:
    """The quantisation that a name mentions, in capitals (``UD-`` before one of Unsloth's own mixes), or nothing.

    The last mention counts, and that of a folder only where the file has none.
    """
    folder, _, base = base_of(name).rpartition("/")
    for text in (base, folder):
        found = list(QUANTISATION.finditer(text))
        if found:
            label = found[-1]["label"].upper()
            return ("UD-" if found[-1]["dynamic"] else "") + PRECISIONS.get(label, label)
    return ""


def _stem(name: str) -> str | None:
    """The name without ``.gguf``; None where it has another ending."""
    return name[: -len(SUFFIX)] if name[-len(SUFFIX) :].lower() == SUFFIX else None
