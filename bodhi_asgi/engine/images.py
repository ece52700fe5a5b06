"""Images among tokens: each place that an image takes in a sequence is a number below zero.

Such a number names the picture by a hash of its file, the part of it, and the place within the part. So sequences,
slots and the prefix cache treat images as they treat text, and equal pictures are equal tokens. Only the runner knows
what stands behind a number.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from bodhi_asgi.engine.plan import Row

PLACE_BITS: Final = 20
PART_BITS: Final = 12
MOST_PLACES: Final = 1 << PLACE_BITS
MOST_PARTS: Final = 1 << PART_BITS


class Place(NamedTuple):
    """What a number below zero says.

    A part that ``is_whole`` has to be computed in one step. One that ``is_solid`` may be computed in several, but all
    of it stands at one position of its sequence, so that it is shared and given up as one.
    """

    picture: int
    part: int
    place: int
    is_whole: bool
    is_solid: bool = False


def places(picture: int, part: int, count: int, *, is_whole: bool, is_solid: bool = False) -> list[int]:
    """The numbers for ``count`` places of a part."""
    assert part < MOST_PARTS, "a picture of too many parts"
    assert count <= MOST_PLACES, "a part of too many places"
    first = (picture << PART_BITS | part) << PLACE_BITS
    return [-1 - ((first | index) << 2 | is_solid << 1 | is_whole) for index in range(count)]


def place_of(token: int) -> Place:
    """The reverse of :func:`places`."""
    number, kind = divmod(-1 - token, 4)
    number, index = divmod(number, MOST_PLACES)
    picture, part = divmod(number, MOST_PARTS)
    return Place(picture, part, index, bool(kind & 1), bool(kind & 2))


def seam(tokens: Sequence[int], at: int) -> int:
    """Where tokens can be parted at ``at`` or before: at the beginning of a solid part that ``at`` would cut in two."""
    if not 0 < at < len(tokens) or tokens[at] >= 0:
        return at
    place = place_of(tokens[at])
    return at - place.place if place.is_solid else at


def fitting(tokens: Sequence[int], begin: int, size: int) -> int:
    """How many tokens from ``begin`` on a step may compute, given room for ``size``: no whole part is cut in two.

    More than ``size`` only when a whole part stands at ``begin`` and is larger.
    """
    end = begin + size
    if not 0 < end < len(tokens) or not _joined(tokens, end):
        return size
    start = end
    while start > begin and _joined(tokens, start):
        start -= 1
    if start > begin:
        return start - begin
    while end < len(tokens) and _joined(tokens, end):
        end += 1
    return end - begin


def _joined(tokens: Sequence[int], at: int) -> bool:
    """Whether the tokens before and at ``at`` belong to one whole part."""
    before, behind = tokens[at - 1], tokens[at]
    if before >= 0 or behind >= 0:
        return False
    return place_of(before).is_whole and _follows(before, behind)


def _follows(before: int, behind: int) -> bool:
    """Whether two places are neighbours in one part. The same picture may stand there twice in a row."""
    return place_of(behind) == place_of(before)._replace(place=place_of(before).place + 1)


def has_image(row: Row) -> bool:
    """Whether some of the row's tokens are places of an image."""
    return min(row.tokens) < 0


def segments(tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of text and runs of one part of an image, as ``(begin, end)``."""
    cuts = [0]
    for at in range(1, len(tokens)):
        before, behind = tokens[at - 1], tokens[at]
        if (before < 0) != (behind < 0) or (before < 0 and not _follows(before, behind)):
            cuts.append(at)
    return list(zip(cuts, [*cuts[1:], len(tokens)], strict=True))
