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
from bodhi_asgi.engine.runners.llama_images import Interrupted, LlamaImages

DECODED: Final = 0
ABORTED: Final = 2


class ImageLead:
    """Computes what of a step stands before its last text."""

    def __init__(self, context: Any, images: LlamaImages, batch: Batch, *, places: int) -> None:
        self._context = context
        self._images = images
        self._batch = batch
        self._embeddings = EmbeddingBatch(places, images.width)

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
        tokens, position = row.tokens[start:end], row.position + start
        if tokens[0] >= 0:
            self._batch.fill((Row(row.slot, row.sampler, position, tokens, wants_token=False),))
            return int(llama_cpp.llama_decode(self._context, self._batch.native))
        try:
            self._embeddings.fill(row.slot, position, self._images.embeddings(tokens))
        except Interrupted:
            return ABORTED
        is_whole = place_of(tokens[0]).is_whole
        if is_whole:
            llama_cpp.llama_set_causal_attn(self._context, False)
        try:
            return int(llama_cpp.llama_decode(self._context, self._embeddings.native))
        finally:
            if is_whole:
                llama_cpp.llama_set_causal_attn(self._context, True)
