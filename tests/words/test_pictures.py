"""What a picture's first bytes tell, and that no bytes at all do more than be refused."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.pictures import Picture, PictureInvalid, read_picture


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(3)


def jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + (before or b"\xff\xe0\x00\x04ab") + frame


@pytest.mark.parametrize(
    ("data", "picture"),
    [
        (png(640, 480), Picture("PNG", 640, 480)),
        (gif(20, 10), Picture("GIF", 20, 10)),
        (jpeg(1920, 1080), Picture("JPEG", 1920, 1080)),
        (jpeg(99, 98, b"\xff\xff\xff\xe1\x00\x02\xff\xc4\x00\x05abc\xff\xd0"), Picture("JPEG", 99, 98)),
        (png(8, 800), Picture("PNG", 8, 800)),
    ],
)
def test_kind_and_size_are_read_from_the_first_bytes(data: bytes, picture: Picture) -> None:
    assert read_picture(data) == picture
    assert picture.pixels == picture.width * picture.height


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no picture that can be read"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP file; PNG, JPEG and GIF are accepted"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (b"RIFF\0\0\0\0WAVEfmt ", "no picture"),
        (png(640, 480)[:20], "no picture"),
        (jpeg(640, 480)[:12], "cut off or damaged"),
        (b"\xff\xd8\xff\xe0\x00\x00" * 3, "cut off or damaged"),
        (png(0, 480), "0 by 480 pixels"),
        (png(7, 480), "from 8 to 16384"),
        (png(2**31, 2**31), "from 8 to 16384"),
        (gif(8, 801), "at most 100 times the other"),
    ],
)
def test_anything_else_is_refused_and_told_why(data: bytes, reason: str) -> None:
    with pytest.raises(PictureInvalid, match=reason):
        read_picture(data)


@given(st.sampled_from([b"", b"\xff\xd8\xff", b"GIF89a", png(9, 9)[:16], b"RIFF"]), st.binary(max_size=400))
def test_no_bytes_do_more_than_be_refused(head: bytes, data: bytes) -> None:
    with suppress(PictureInvalid):
        picture = read_picture(head + data)
        assert 8 <= min(picture.width, picture.height) <= max(picture.width, picture.height) <= 16_384
