"""What kind of picture a file holds and how large it is, told from its first bytes and before anything is unpacked.

Sources: PNG (ISO/IEC 15948), the GIF89a specification, and ITU T.81 (JPEG), annex B. Only the sizes are read; whether
the rest is a picture shows when it is decoded, which happens in the engine process.
"""

from dataclasses import dataclass
from typing import Final

from bodhi_asgi.errors import Invalid

PNG: Final = b"\x89PNG\r\n\x1a\n"
GIFS: Final = (b"GIF87a", b"GIF89a")
JPEG: Final = b"\xff\xd8\xff"
FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG's markers that begin a frame and tell its size."""

BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG's markers without a length."""

LEAST_SIDE: Final = 8
MOST_SIDE: Final = 16_384
MOST_RATIO: Final = 100
"""Between the sides. What models do to bring a picture to their own size fails on threads."""


class PictureInvalid(Invalid):
    """The bytes are no picture of a kind that is read, or one of an impossible size."""

    code = "image_invalid"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a file says of itself. Sizes in pixels."""

    kind: str
    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height


def read_picture(data: bytes) -> Picture:
    """Kind and size of a PNG, JPEG or GIF file. Raises PictureInvalid saying what is accepted."""
    if data.startswith(PNG) and data[12:16] == b"IHDR" and len(data) >= 24:
        picture = Picture("PNG", int.from_bytes(data[16:20]), int.from_bytes(data[20:24]))
    elif data.startswith(GIFS) and len(data) >= 10:
        picture = Picture("GIF", int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little"))
    elif data.startswith(JPEG):
        picture = _jpeg(data)
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        raise PictureInvalid("it is a WebP file; PNG, JPEG and GIF are accepted")
    else:
        raise PictureInvalid("it is no picture that can be read; PNG, JPEG and GIF are accepted")
    _check_size(picture)
    return picture


def _jpeg(data: bytes) -> Picture:
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in BARE:
            at += 2
        elif marker in FRAMES and at + 9 <= len(data):
            return Picture("JPEG", int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7]))
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4]))
    raise PictureInvalid("it is a JPEG file that does not tell its size: it is cut off or damaged")


def _check_size(picture: Picture) -> None:
    least, most = sorted((picture.width, picture.height))
    if least < LEAST_SIDE or most > MOST_SIDE or most > MOST_RATIO * least:
        raise PictureInvalid(
            f"it has {picture.width} by {picture.height} pixels; each side may have from {LEAST_SIDE} to {MOST_SIDE}, "
            f"and one at most {MOST_RATIO} times the other"
        )
