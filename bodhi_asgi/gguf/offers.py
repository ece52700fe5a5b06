"""From the files of a repository to what may be pulled from it: each quantisation, in all its parts, with a projector.

Pure functions over names and sizes. Whether a choice fits the memory is told by sizes and by what its context takes,
which is the same for all quantisations of a model: one header tells it (:mod:`bodhi_asgi.gguf.fit`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final, Generic, Protocol, TypeVar

from bodhi_asgi.gguf.errors import NothingFits, QuantisationMissing, QuantisationUnclear
from bodhi_asgi.gguf.names import MAX_PARTS, UNQUANTISED, base_of, kind_of, part_of, qualifier, quantisation

SHOWN: Final = 24
"""Quantisations that an error lists at most."""

PRECISION: Final = re.compile(r"\d+")
MARK: Final = re.compile(r"mmproj", re.IGNORECASE)


class Named(Protocol):
    """A file of a repository: ``filename`` with its folders, separated by ``/``."""

    @property
    def filename(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...


FileT = TypeVar("FileT", bound=Named)


@dataclass(frozen=True, slots=True)
class Offer(Generic[FileT]):
    """One model that may be pulled. ``files`` are its parts in order, ``missing`` how many of them are not there.

    ``quant`` is the quantisation that the name mentions, else the name's qualifier.
    """

    quant: str
    base: str
    files: tuple[FileT, ...]
    projector: FileT | None = None
    missing: int = 0

    @property
    def is_quantised(self) -> bool:
        """Whether its numbers take less than 16 bits, as far as its name tells."""
        return self.quant not in UNQUANTISED

    @property
    def size_bytes(self) -> int:
        """Of the model without its projector."""
        return sum(file.size_bytes for file in self.files)

    @property
    def total_bytes(self) -> int:
        """Of all that is to be fetched."""
        return self.size_bytes + (self.projector.size_bytes if self.projector else 0)

    @property
    def everything(self) -> tuple[FileT, ...]:
        """All that is to be fetched: the parts, and the projector behind them."""
        return (*self.files, self.projector) if self.projector else self.files


def offers(files: Iterable[FileT]) -> tuple[Offer[FileT], ...]:
    """The models among ``files``, the smallest first. Adapters, drafting models and matrices are passed over."""
    models: dict[tuple[str, int], dict[int, FileT]] = {}
    projectors: list[FileT] = []
    for file in sorted(files, key=lambda file: file.filename):
        kind, part = kind_of(file.filename), part_of(file.filename)
        if kind == "projector":
            projectors.append(file)
        elif kind == "model" and (part is None or part.count <= MAX_PARTS):
            number, count = (part.number, part.count) if part else (1, 1)
            models.setdefault((base_of(file.filename), 0 if part is None else count), {})[number] = file
    found = [
        Offer(
            quant=quantisation(base) or qualifier(base),
            base=base,
            files=tuple(parts[number] for number in sorted(parts)),
            projector=projector_beside(parts[min(parts)], projectors),
            missing=max(1, count) - len(parts),
        )
        for (base, count), parts in models.items()
    ]
    return tuple(sorted(found, key=lambda offer: (offer.size_bytes, offer.base)))


def projector_beside(model: FileT, projectors: Sequence[FileT]) -> FileT | None:
    """The projector that goes with a model: in its folder or above it, by the likest name and the nearest precision.

    Source: ``find_best_sibling`` in ``common/download.cpp`` of llama.cpp, which does not compare names.
    """
    folder = model.filename.rpartition("/")[0]
    near = [one for one in projectors if _is_within(folder, one.filename.rpartition("/")[0])]
    return min(near, key=lambda one: _distance(model.filename, one.filename), default=None)


def pick(among: Sequence[Offer[FileT]], wanted: str) -> Offer[FileT]:
    """The offer that ``wanted`` names: a quantisation, a qualifier, or the end of a name; in capitals or not.

    Raises QuantisationMissing, also where parts of it are not there, and QuantisationUnclear.
    """
    whole = _whole(among)
    folded = wanted.casefold()
    ranks = (
        [offer for offer in whole if offer.quant.casefold() == folded],
        [offer for offer in whole if qualifier(offer.base).casefold() == folded],
        [offer for offer in whole if f"/{offer.base}".casefold().endswith(tuple(f"{end}{folded}" for end in "-./"))],
    )
    found = next((rank for rank in ranks if rank), [])
    if not found:
        raise QuantisationMissing(
            f"there is no quantisation '{wanted[:64]}' here; there are: {_listed(whole)}", param="quant"
        )
    if len(found) > 1:
        names = ", ".join(f"'{offer.files[0].filename}'" for offer in found[:SHOWN])
        raise QuantisationUnclear(f"'{wanted[:64]}' is the quantisation of several files: {names}", param="quant")
    return found[0]


def choose(among: Sequence[Offer[FileT]], budget_bytes: int, *, beside_bytes: int = 0) -> Offer[FileT]:
    """The largest quantisation that fits in ``budget_bytes`` with its projector and ``beside_bytes`` for its context.

    Models in full precision are taken only where nothing else is offered: they answer no better than the largest
    quantisation and take twice as long. Raises NothingFits, and QuantisationMissing where there are no models.
    """
    whole = _whole(among)
    if not whole:
        raise QuantisationMissing("there are no GGUF models here")
    eligible = [offer for offer in whole if offer.is_quantised] or whole
    fitting = [offer for offer in eligible if offer.total_bytes + beside_bytes <= budget_bytes]
    if not fitting:
        least = min(eligible, key=lambda offer: offer.total_bytes)
        raise NothingFits(
            f"the smallest of {len(eligible)}, {least.quant}, needs {least.total_bytes + beside_bytes} bytes of memory "
            f"with its context, and there are {budget_bytes}; name a quantisation to have it all the same",
            param="quant",
            quant=least.quant,
            needed_bytes=least.total_bytes + beside_bytes,
            budget_bytes=budget_bytes,
        )
    return max(fitting, key=lambda offer: (offer.size_bytes, offer.base))


def _whole(among: Sequence[Offer[FileT]]) -> list[Offer[FileT]]:
    return [offer for offer in among if not offer.missing]


def _listed(among: Sequence[Offer[FileT]]) -> str:
    names = list(dict.fromkeys(offer.quant for offer in among))
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def _is_within(folder: str, other: str) -> bool:
    return not other or folder == other or folder.startswith(f"{other}/")


def _distance(model: str, projector: str) -> tuple[int, int, int, bool, str]:
    """Least for the nearest: by folder, by name, by bits, and no BF16, which few processors compute with."""
    depth = -projector.count("/")
    base, other = (base_of(name).rpartition("/")[2].lower() for name in (model, projector))
    words, others = (re.findall(r"[a-z0-9]+", text) for text in (base, MARK.sub(" ", other)))
    likeness = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(words, others, strict=False)))
    bits = abs(_bits(quantisation(base)) - _bits(quantisation(other)))
    return depth, -likeness, bits, quantisation(other) == "BF16", projector


def _bits(quant: str) -> int:
    found = PRECISION.search(quant)
    return int(found[0]) if found else 16
