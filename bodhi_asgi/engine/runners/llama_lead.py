"""The part of a step that reads images: it goes before the one batch in which everything else is computed.

llama.cpp takes tokens or embeddings in a batch, and some models read an image with each of its places seeing all
others. So the rows that have images are computed piece by piece up to their last text, and what is left of them goes
into the batch of all. Nothing is drawn before that, so that a step which fails on the way has drawn nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import llama_cpp

from bodhi_asgi.engine.images import has_image, place_of, segments
from bodhi_asgi.engine.plan import Row
from bodhi_asgi.engine.runners.llama_batch import Batch, EmbeddingBatch
from bodhi_asgi.engine.runners.llama_images import LlamaImages
from bodhi_asgi.engine.runners.llama_positions import Positions, Solid
from bodhi_asgi.engine.runners.llama_projector import Interrupted

DECODED: Final = 0
ABORTED: Final = 2


class ImageLead:
    """Computes what of a step stands before its last text."""

    def __init__(self, context: Any, images: LlamaImages, batch: Batch, positions: Positions, *, places: int) -> None:
        self._context = context
        self._images = images
        self._batch = batch
        self._positions = positions
        self._embeddings = EmbeddingBatch(places, images.width, images.dimensions)

    def compute(self, rows: Sequence[Row], is_interrupted: Callable[[], bool]) -> tuple[int, tuple[Row, ...]]:
        """llama.cpp's code, and what is left to do for each row once it is 0."""
        left: list[Row] = []
        for row in rows:
            if not has_image(row):
                left.append(row)
                continue
            cuts = segments(row.tokens)
            begin = cuts[-1][0]
            if row.tokens[-1] < 0:
                begin = len(row.tokens)
            for start, end in cuts:
                if start >= begin:
                    break
                code = ABORTED if is_interrupted() else self._piece(row, start, end)
                if code != DECODED:
                    return code, ()
            if begin < len(row.tokens):
                left.append(replace(row, position=row.position + begin, tokens=row.tokens[begin:]))
        return DECODED, tuple(left)

    def _piece(self, row: Row, start: int, end: int) -> int:
        tokens, index = row.tokens[start:end], row.position + start
        if tokens[0] >= 0:
            piece = Row(row.slot, row.sampler, index, tokens, wants_token=False)
            self._batch.fill(self._positions.placed((piece,)))
            return int(llama_cpp.llama_decode(self._context, self._batch.native))
        first = place_of(tokens[0])
        begin = index - first.place
        if first.is_solid:
            size, positions = self._images.extent(first)
            self._positions.add(row.slot, Solid(begin, begin + size, positions))
        try:
            embeddings = self._images.embeddings(tokens)
        except Interrupted:
            return ABORTED
        layout = self._images.layout(tokens, self._positions.of(row.slot, begin))
        self._embeddings.fill(row.slot, layout, embeddings)
        is_whole = first.is_whole
        if is_whole:
            llama_cpp.llama_set_causal_attn(self._context, False)
        try:
            return int(llama_cpp.llama_decode(self._context, self._embeddings.native))
        finally:
            if is_whole:
                llama_cpp.llama_set_causal_attn(self._context, True)
