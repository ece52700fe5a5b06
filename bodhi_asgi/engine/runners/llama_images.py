"""Images for a llama.cpp model: its projector, through libmtmd, makes embeddings of a picture, to stand among tokens.

A picture is decoded when its prompt is tokenised, so that a broken one is refused, and then encoded, all in a thread
beside the engine's, so that running streams go on. What came of it is kept for as long as a request needs it, and some
time longer for the next turn; what was forgotten meanwhile is encoded when its first place is computed.
"""

import base64
import ctypes
import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp
from numpy.typing import NDArray

from bodhi_asgi.engine.errors import ImageUnreadable, ModelLoadFailed, WorkCancelled
from bodhi_asgi.engine.images import MOST_PARTS, MOST_PLACES, Place, place_of, places
from bodhi_asgi.engine.runners.llama_tuning import set_fields
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.gguf.projectors import check_projector
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.messages.conversation import Image
from bodhi_asgi.pictures import PictureInvalid, read_picture

KEPT_BYTES: Final = 256 * 1024 * 1024
"""Of pictures that no request needs any more."""

PLACE_BYTES: Final = 16
"""Of a picture's hash: too many for anybody to find two with the same."""

NODES_AT_ONCE: Final = 8
"""Of the encoder's graph between two looks at whether the step is given up."""

MROPE_DIMENSIONS: Final = 4
"""Of a position in llama.cpp: along the sequence, down, across, and one that is not used."""

NO_FOLDER: Final = b"/nonexistent"
"""Where libmtmd, which tries everything that it cannot read as a video, looks for programs that unpack those."""


@dataclass(eq=False, slots=True)
class Part:
    """A piece of a picture: tokens of text around it, or places with their embeddings once they are computed.

    ``positions`` is how many it takes of its sequence.
    """

    tokens: list[int]
    chunk: Any = None
    embeddings: NDArray[np.float32] | None = None
    positions: int = 0


@dataclass(eq=False, slots=True)
class Picture:
    """A decoded picture, by whom it is needed, and how much memory it takes."""

    parts: list[Part]
    size_bytes: int
    holders: set[int] = field(default_factory=set)


LOOKING: Final = -1
"""Who holds a picture while it is encoded ahead of its turn."""


class Interrupted(Exception):
    """The encoding of an image was given up."""


class LlamaImages:
    """The projector of one model. Belongs to the engine's thread, and to one beside it that looks ahead.

    One guard is held for moments only and keeps the books of pictures; the other belongs to who uses the projector.
    """

    def __init__(self, spec: ModelSpec, *, on_nodes: Callable[[int], bool]) -> None:
        self._spec = spec
        self._on_nodes = on_nodes
        self._context: Any = None
        self.width = 0
        """Numbers of one embedding, once loaded."""
        self.dimensions = 1
        """Numbers of one position, once loaded: more than one where images have a width and a height."""
        self._most_whole = 0
        self._pictures: dict[int, Picture] = {}
        self._nodes = 0
        self._is_interrupted = False
        self._books = threading.RLock()
        self._projector = threading.Lock()
        self._looking_for: str | None = None
        self._unwanted: str | None = None
        self._is_closing = False
        # Referenced for as long as the projector lives, which calls it.
        self._callback = llama_cpp.ggml_backend_sched_eval_callback(self._on_node)

    def load(self, model: Any, *, threads: int, reason: Callable[[], str], log: Any) -> None:
        """Load the projector and have it encode once. Raises ModelLoadFailed saying what is wrong with it."""
        try:
            check_projector(Path(self._spec.projector))
        except OSError as error:
            raise self._refused(f"the file '{self._spec.projector}' cannot be read: {error.strerror}") from None
        except GgufInvalid as error:
            raise self._refused(error.message) from None
        mtmd_cpp.mtmd_helper_log_set(log, None)
        params = mtmd_cpp.mtmd_context_params_default()
        set_fields(
            params,
            use_gpu=bool(self._spec.n_gpu_layers),
            print_timings=False,
            n_threads=threads,
            warmup=True,
            cb_eval=self._callback,
        )
        self._context = mtmd_cpp.mtmd_init_from_file(self._spec.projector.encode(), model, params)
        if not self._context:
            raise self._refused(reason())
        if not mtmd_cpp.mtmd_support_vision(self._context):
            raise self._refused("it reads no images")
        if mtmd_cpp.mtmd_decode_use_mrope(self._context):
            self.dimensions = MROPE_DIMENSIONS
        self.width = llama_cpp.llama_model_n_embd_inp(model)
        self._most_whole = min(self._spec.n_batch, self._spec.tuning.n_ubatch or self._spec.n_batch)

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
                        part.embeddings = self._encoded(part, work_id)
            except Interrupted:
                raise WorkCancelled("the request was cancelled") from None
            finally:
                with self._books:
                    picture.holders.discard(LOOKING)

    def look_away(self, work_id: str | None) -> None:
        """Give up what is encoded for this request, or (None) for anybody."""
        self._unwanted = work_id
        self._is_closing = self._is_closing or work_id is None

    def hold(self, sampler: int, images: Sequence[Image]) -> None:
        """Keep these until :meth:`let_go`."""
        for image in images:
            self._picture(image, sampler)

    def let_go(self, sampler: int) -> None:
        """A sequence has ended."""
        with self._books:
            for picture in self._pictures.values():
                picture.holders.discard(sampler)
            self._tidy()

    def embeddings(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """The embeddings for places of one part, a row for each. Raises Interrupted."""
        first = place_of(tokens[0])
        part = self._pictures[first.picture].parts[first.part]
        if part.embeddings is None:
            part.embeddings = self._encoded(part)
        return part.embeddings[first.place : first.place + len(tokens)]

    def extent(self, place: Place) -> tuple[int, int]:
        """How many places the part has in which ``place`` is, and how many positions it takes."""
        part = self._pictures[place.picture].parts[place.part]
        return len(part.tokens), part.positions

    def layout(self, tokens: Sequence[int], position: int) -> NDArray[np.int32]:
        """The positions for places of one part that begins at ``position``: a row for each dimension."""
        first = place_of(tokens[0])
        which = slice(first.place, first.place + len(tokens))
        part = self._pictures[first.picture].parts[first.part]
        if not first.is_solid:
            return np.arange(position, position + len(part.tokens), dtype=np.int32)[np.newaxis, which]
        laid = (mtmd_cpp.mtmd_decoder_pos * len(part.tokens))()
        image = mtmd_cpp.mtmd_input_chunk_get_tokens_image(part.chunk)
        mtmd_cpp.mtmd_helper_image_get_decoder_pos(image, position, laid)
        found = np.frombuffer(laid, dtype=[(name, np.uint32) for name in ("t", "x", "y", "z")])[which]
        return np.array([found[name] for name in ("t", "y", "x", "z")], np.int32)

    def free(self) -> None:
        """Release everything; before the model. Idempotent."""
        for number in tuple(self._pictures):
            self._forget(number)
        if self._context:
            mtmd_cpp.mtmd_free(self._context)
        self._context = None

    # -- pictures

    def _picture(self, image: Image, holder: int | None = None) -> Picture:
        data = base64.b64decode(image.data)
        number = int.from_bytes(hashlib.sha256(data).digest()[:PLACE_BYTES])
        known = self._kept(number, None, holder)
        if known is not None:
            return known
        picture = self._kept(number, self._decoded(number, data), holder)
        assert picture is not None, "what is given is kept"
        return picture

    def _kept(self, number: int, fresh: Picture | None, holder: int | None) -> Picture | None:
        """The picture of that number, or the fresh one in its place."""
        with self._books:
            picture = self._pictures.pop(number, fresh)
            if picture is None:
                return None
            if fresh is not None and picture is not fresh:
                _free_chunks(fresh)
            self._pictures[number] = picture  # the youngest stands last
            if holder is not None:
                picture.holders.add(holder)
            self._tidy(but=number)
            return picture

    def _decoded(self, number: int, data: bytes) -> Picture:
        try:
            read_picture(data)
        except PictureInvalid as error:
            raise ImageUnreadable(f"an image cannot be read: {error.message}", param="messages") from None
        options = mtmd_cpp.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = NO_FOLDER
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        loaded = mtmd_cpp.mtmd_helper_bitmap_init_from_buf_wrapper(self._context, buffer, len(data), False, options)
        try:
            if not loaded.bitmap or loaded.video_ctx:
                raise ImageUnreadable("an image cannot be decoded: its file is damaged or cut off", param="messages")
            return self._cut(number, loaded.bitmap)
        finally:
            if loaded.bitmap:
                mtmd_cpp.mtmd_bitmap_free(loaded.bitmap)
            if loaded.video_ctx:
                mtmd_cpp.mtmd_helper_video_free(loaded.video_ctx)

    def _cut(self, number: int, bitmap: Any) -> Picture:
        """The picture in the parts in which the model wants it."""
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        part = mtmd_cpp.mtmd_input_part(None, bitmap)
        listed = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
        picture = Picture([], 0)
        try:
            with self._projector:
                code = mtmd_cpp.mtmd_tokenize_from_parts(self._context, chunks, listed, 1, False)
            if code:
                raise ImageUnreadable("an image cannot be prepared for this model", param="messages")
            for index in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
                picture.parts.append(self._part(number, index, mtmd_cpp.mtmd_input_chunks_get(chunks, index)))
        except BaseException:
            _free_chunks(picture)
            raise
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)
        count = sum(len(part.tokens) for part in picture.parts if part.chunk)
        picture.size_bytes = count * self.width * np.dtype(np.float32).itemsize
        return picture

    def _part(self, number: int, index: int, chunk: Any) -> Part:
        count = mtmd_cpp.mtmd_input_chunk_get_n_tokens(chunk)
        if mtmd_cpp.mtmd_input_chunk_get_type(chunk) == mtmd_cpp.MTMD_INPUT_CHUNK_TYPE_TEXT:
            size = ctypes.c_size_t()
            text = mtmd_cpp.mtmd_input_chunk_get_tokens_text(chunk, ctypes.byref(size))
            return Part(list(text[: size.value]))
        is_whole = bool(mtmd_cpp.mtmd_decode_use_non_causal(self._context, chunk))
        if (is_whole and count > self._most_whole) or index >= MOST_PARTS or count > MOST_PLACES:
            raise ImageUnreadable(
                f"an image takes {count} places that have to be computed in one step, and a step has "
                f"{self._most_whole}; the operator can raise n_batch",
                param="messages",
            )
        tokens = places(number, index, count, is_whole=is_whole, is_solid=self.dimensions > 1)
        positions = mtmd_cpp.mtmd_input_chunk_get_n_pos(chunk)
        return Part(tokens, mtmd_cpp.mtmd_input_chunk_copy(chunk), positions=positions)

    def _tidy(self, but: int | None = None) -> None:
        """Forget the oldest that nobody needs, beyond what may be kept."""
        free = [number for number, picture in self._pictures.items() if not picture.holders and number != but]
        kept = sum(self._pictures[number].size_bytes for number in free)
        for number in free:
            if kept <= KEPT_BYTES:
                return
            kept -= self._pictures[number].size_bytes
            self._forget(number)

    def _forget(self, number: int) -> None:
        _free_chunks(self._pictures.pop(number))

    # -- encoding

    def _encoded(self, part: Part, work_id: str | None = None) -> NDArray[np.float32]:
        """The part's embeddings; ahead of its turn for a request, or in a step. Raises Interrupted."""
        with self._projector:
            self._is_interrupted, self._looking_for = False, work_id
            if self._is_unwanted:
                raise Interrupted
            code = mtmd_cpp.mtmd_encode_chunk(self._context, part.chunk)
            if self._is_interrupted:
                raise Interrupted
            if code:
                raise RuntimeError(f"an image could not be encoded ({code})")
            found = mtmd_cpp.mtmd_get_output_embd(self._context)
            return np.ctypeslib.as_array(found, shape=(len(part.tokens), self.width)).copy()

    @property
    def _is_unwanted(self) -> bool:
        return self._looking_for is not None and (self._is_closing or self._looking_for == self._unwanted)

    def _on_node(self, _: Any, asks: bool, __: Any) -> bool:
        """Called around the nodes of the encoder's graph: first whether to stop behind one, then whether to go on."""
        if asks:
            self._nodes += 1
            return self._nodes % NODES_AT_ONCE == 0
        is_step_given_up = self._on_nodes(NODES_AT_ONCE)
        if self._is_unwanted or (is_step_given_up and self._looking_for is None):
            self._is_interrupted = True
        return not self._is_interrupted

    def _refused(self, reason: str) -> ModelLoadFailed:
        name = self._spec.name
        return ModelLoadFailed(f"the projector of the model '{name}' cannot be loaded: {reason}", model=name)


def _free_chunks(picture: Picture) -> None:
    for part in picture.parts:
        if part.chunk:
            mtmd_cpp.mtmd_input_chunk_free(part.chunk)
