"""Images for a llama.cpp model: its projector makes embeddings of a picture, to stand among tokens.

A picture is decoded when its prompt is tokenised, so that a broken one is refused, and then encoded, all in a thread
beside the engine's, so that running streams go on. What came of it is kept for as long as a request needs it, and some
time longer for the next turn; what was forgotten meanwhile is encoded when its first place is computed.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine.errors import ImageUnreadable, WorkCancelled
from bodhi_asgi.engine.images import Place, place_of
from bodhi_asgi.engine.runners.llama_pictures import Picture, Pictures
from bodhi_asgi.engine.runners.llama_projector import Interrupted, Projector, laid_out
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.messages.conversation import Image
from bodhi_asgi.pictures import PictureInvalid, read_picture

PLACE_BYTES: Final = 16
"""Of a picture's hash: too many for anybody to find two with the same."""

LOOKING: Final = -1
"""Who holds a picture while it is encoded ahead of its turn."""


class LlamaImages:
    """The images of one model. Belongs to the engine's thread, and to one beside it that looks ahead."""

    def __init__(self, spec: ModelSpec, *, on_nodes: Callable[[int], bool]) -> None:
        self._projector = Projector(spec, on_nodes=on_nodes)
        self.pictures = Pictures()

    @property
    def width(self) -> int:
        """Numbers of one embedding, once loaded."""
        return self._projector.width

    @property
    def dimensions(self) -> int:
        """Numbers of one position, once loaded: more than one where images have a width and a height."""
        return self._projector.dimensions

    def load(self, model: Any, *, n_ctx: int, threads: int, reason: Callable[[], str], log: Any) -> None:
        """Load the projector for a context of so many tokens. Raises ModelLoadFailed saying what is wrong with it."""
        self._projector.load(model, threads=threads, reason=reason, log=log)
        self.pictures.kept_bytes = self._projector.sight.resting_bytes(n_ctx)

    def tokens(self, image: Image) -> list[int]:
        """What stands for a picture in a prompt. Raises ImageUnreadable."""
        return [token for part in self._picture(image).parts for token in part.tokens]

    def look(self, work_id: str, images: Sequence[Image]) -> None:
        """Encode these. Raises ImageUnreadable, and WorkCancelled once they are :meth:`look_away`'s."""
        for image in images:
            picture = self._picture(image, LOOKING)
            try:
                for part in picture.parts:
                    if part.chunk and part.embeddings is None:
                        part.embeddings = self._projector.encode(part, work_id)
            except Interrupted:
                raise WorkCancelled("the request was cancelled") from None
            finally:
                self.pictures.let_go(LOOKING, picture)

    def look_away(self, work_id: str | None) -> None:
        """Give up what is encoded for this request, or (None) for anybody."""
        self._projector.look_away(work_id)

    def hold(self, sampler: int, images: Sequence[Image]) -> None:
        """Keep these until :meth:`let_go`."""
        for image in images:
            self._picture(image, sampler)

    def let_go(self, sampler: int) -> None:
        """A sequence has ended."""
        self.pictures.let_go(sampler)

    def embeddings(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The embeddings for places of one part, a row for each. Raises Interrupted."""
        first = place_of(tokens[0])
        part = self.pictures.part(first)
        if part.embeddings is None:
            part.embeddings = self._projector.encode(part)
        return part.embeddings[first.place : first.place + len(tokens)]

    def extent(self, place: Place) -> tuple[int, int]:
        """How many places the part has in which ``place`` is, and how many positions it takes."""
        part = self.pictures.part(place)
        return len(part.tokens), part.positions

    def layout(self, tokens: Sequence[int], position: int) -> NDArray[np.int32]:
        """The positions for places of one part that begins at ``position``: a row for each dimension."""
        first = place_of(tokens[0])
        which = slice(first.place, first.place + len(tokens))
        part = self.pictures.part(first)
        if not first.is_solid:
            return np.arange(position, position + len(part.tokens), dtype=np.int32)[np.newaxis, which]
        return laid_out(part, position)[:, which]

    def free(self) -> None:
        """Release everything; before the model. Idempotent."""
        self.pictures.clear()
        self._projector.free()

    def _picture(self, image: Image, holder: int | None = None) -> Picture:
        data = base64.b64decode(image.data)
        number = int.from_bytes(hashlib.sha256(data).digest()[:PLACE_BYTES])
        known = self.pictures.find(number, holder)
        if known is not None:
            return known
        try:
            read_picture(data)
        except PictureInvalid as error:
            raise ImageUnreadable(f"an image cannot be read: {error.message}", param="messages") from None
        return self.pictures.keep(number, self._projector.cut(number, data), holder)
