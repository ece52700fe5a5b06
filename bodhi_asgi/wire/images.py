"""Images in messages: as data URLs and in no other way, so that no request makes this machine fetch anything.

Source: the OpenAI API reference, content part of the type ``image_url``. The file is unpacked from its base64 here and
looked at; it is decoded in the engine.
"""

import base64
import binascii
import re
from typing import Annotated, Final, Literal

from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.conversation import IMAGE_MARK, Image
from bodhi_asgi.pictures import PictureInvalid, read_picture
from bodhi_asgi.validation import WireModel
from bodhi_asgi.wire.limits import RequestLimits

DATA_URL: Final = re.compile(r"data:image/[a-z+.-]{1,32};base64,", re.IGNORECASE)
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}:")


class ImageUrl(WireModel):
    """Where the image is: in the address itself, as ``data:image/png;base64,…`` (or jpeg, or gif)."""

    url: Annotated[str, Field(min_length=1)]
    detail: Literal["auto"] | None = None


class ImagePart(WireModel):
    """A picture as a piece of a user's content, for models that have a projector."""

    type: Literal["image_url"]
    image_url: ImageUrl


class ImageReader:
    """Reads the images of one request and counts what they come to."""

    def __init__(self, limits: RequestLimits) -> None:
        self._limits = limits
        self._bytes = 0
        self.images: list[Image] = []

    def read(self, part: ImagePart, param: str) -> None:
        """Take one more. Raises Invalid, or PictureInvalid, whose ``param`` is the path of the address."""
        where = f"{param}.image_url.url"
        if len(self.images) >= self._limits.images:
            raise Invalid(f"a request may have {self._limits.images} images; '{param}' is one more", param=where)
        data = _payload(part.image_url.url, where)
        self._bytes += 3 * len(data) // 4
        if self._bytes > self._limits.image_bytes:
            most = self._limits.image_bytes
            raise Invalid(f"the images have more than {most} bytes together; {most} are accepted", param=where)
        try:
            picture = read_picture(base64.b64decode(data, validate=True))
        except binascii.Error:
            raise PictureInvalid(f"'{where}' holds no valid base64", param=where) from None
        except PictureInvalid as error:
            raise PictureInvalid(f"'{where}': {error.message}", param=where) from None
        if picture.pixels > self._limits.image_pixels:
            raise PictureInvalid(
                f"'{where}' has {picture.width} by {picture.height} pixels; at most {self._limits.image_pixels} are "
                "accepted",
                param=where,
            )
        self.images.append(Image(data))


def without_marks(text: str) -> str:
    """People's text, without what stands for an image in ours."""
    return text.replace(IMAGE_MARK, "\ufffd")


def _payload(url: str, where: str) -> str:
    head = DATA_URL.match(url)
    if head is not None:
        return url[head.end() :]
    scheme = SCHEME.match(url)
    if scheme is not None and scheme[0].lower() != "data:":
        raise Invalid(f"'{where}' begins with '{scheme[0]}': nothing is fetched; send a data URL", param=where)
    raise Invalid(f"'{where}' is no data URL of an image, such as data:image/png;base64,…", param=where)
