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
    """What a number below zero says. A part that is ``whole`` has to be computed in one step."""

    picture: int
    part: int
    place: int
    is_whole: bool


def places(picture: int, part: int, count: int, *, is_whole: bool) -> list[int]:
    """The numbers for ``count`` places of a part."""
    assert part < MOST_PARTS, "a picture of too many parts"
    assert count <= MOST_PLACES, "a part of too many places"
    first = (picture << PART_BITS | part) << PLACE_BITS
    return [-1 - ((first | index) << 1 | is_whole) for index in range(count)]


def place_of(token: int) -> Place:
    """The reverse of :func:`places`."""
    number, is_whole = divmod(-1 - token, 2)
    number, index = divmod(number, MOST_PLACES)
    picture, part = divmod(number, MOST_PARTS)
    return Place(picture, part, index, bool(is_whole))


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
    one, other = place_of(before), place_of(behind)
    return one.is_whole and (one.picture, one.part) == (other.picture, other.part)


def has_image(row: Row) -> bool:
    """Whether some of the row's tokens are places of an image."""
    return min(row.tokens) < 0


def segments(tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of text and runs of one part of an image, as ``(begin, end)``."""
    cuts = [0]
    for at in range(1, len(tokens)):
        before, behind = tokens[at - 1], tokens[at]
        if (before < 0) != (behind < 0) or (before < 0 and place_of(before)[:2] != place_of(behind)[:2]):
            cuts.append(at)
    return list(zip(cuts, [*cuts[1:], len(tokens)], strict=True))
