"""A projector through libmtmd: it cuts a picture into the parts that its model wants, and makes embeddings of them.

Both belong to whoever holds its guard, in the engine's thread or in one beside it that looks ahead; what is computed
can be given up between the nodes of its graph.
"""

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp
from numpy.typing import NDArray

from bodhi_asgi.engine.errors import ImageUnreadable, ModelLoadFailed
from bodhi_asgi.engine.images import MOST_PARTS, MOST_PLACES, places
from bodhi_asgi.engine.runners.llama_pictures import Part, Picture
from bodhi_asgi.engine.runners.llama_tuning import set_fields
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.gguf.projectors import check_projector
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.sight import Sight, sight_of
from bodhi_asgi.gguf.types import GgufInvalid

NODES_AT_ONCE: Final = 8
"""Of the encoder's graph between two looks at whether the step is given up."""

MROPE_DIMENSIONS: Final = 4
"""Of a position in llama.cpp: along the sequence, down, across, and one that is not used."""

NO_FOLDER: Final = b"/nonexistent"
"""Where libmtmd, which tries everything that it cannot read as a video, looks for programs that unpack those."""


class Interrupted(Exception):
    """The encoding of an image was given up."""


class Projector:
    """Of one model. ``on_nodes`` hears how many nodes were computed, and says whether the step is given up."""

    def __init__(self, spec: ModelSpec, *, on_nodes: Callable[[int], bool]) -> None:
        self._spec = spec
        self._on_nodes = on_nodes
        self._context: Any = None
        self.width = 0
        """Numbers of one embedding, once loaded."""
        self.dimensions = 1
        """Numbers of one position, once loaded: more than one where images have a width and a height."""
        self.sight: Sight
        """Its sizes, once loaded."""
        self._most_whole = min(spec.n_batch, spec.tuning.n_ubatch or spec.n_batch)
        self._guard = threading.Lock()
        self._nodes = 0
        self._is_interrupted = False
        self._looking_for: str | None = None
        self._unwanted: str | None = None
        self._is_closing = False
        # Referenced for as long as the projector lives, which calls it.
        self._callback = llama_cpp.ggml_backend_sched_eval_callback(self._on_node)

    def load(self, model: Any, *, threads: int, reason: Callable[[], str], log: Any) -> None:
        """Load it. Raises ModelLoadFailed saying what is wrong with it."""
        path = Path(self._spec.projector)
        try:
            check_projector(path)
            self.sight = sight_of(read_header(path))
        except OSError as error:
            raise self._refused(f"the file '{path}' cannot be read: {error.strerror}") from None
        except GgufInvalid as error:
            raise self._refused(error.message) from None
        mtmd_cpp.mtmd_helper_log_set(log, None)
        params = mtmd_cpp.mtmd_context_params_default()
        set_fields(
            params,
            use_gpu=bool(self._spec.n_gpu_layers),
            print_timings=False,
            n_threads=threads,
            # What is set aside for a large picture before there is one would have smaller ones spread over all of it.
            warmup=bool(self._spec.n_gpu_layers),
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

    def cut(self, number: int, data: bytes) -> Picture:
        """Decode a file whose size was looked at, into the parts that the model wants. Raises ImageUnreadable."""
        options = mtmd_cpp.mtmd_helper_init_opt_default()
        options.video_params.ffmpeg_bin_dir = NO_FOLDER
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        loaded = mtmd_cpp.mtmd_helper_bitmap_init_from_buf_wrapper(self._context, buffer, len(data), False, options)
        try:
            if not loaded.bitmap or loaded.video_ctx:
                raise ImageUnreadable("an image cannot be decoded: its file is damaged or cut off", param="messages")
            return self._parts(number, loaded.bitmap)
        finally:
            if loaded.bitmap:
                mtmd_cpp.mtmd_bitmap_free(loaded.bitmap)
            if loaded.video_ctx:
                mtmd_cpp.mtmd_helper_video_free(loaded.video_ctx)

    def encode(self, part: Part, work_id: str | None = None) -> NDArray[np.float32]:
        """The part's embeddings; ahead of its turn for a request, or in a step. Raises Interrupted."""
        with self._guard:
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

    def look_away(self, work_id: str | None) -> None:
        """Give up what is encoded for this request, or (None) for anybody."""
        self._unwanted = work_id
        self._is_closing = self._is_closing or work_id is None

    def free(self) -> None:
        """Release it; behind its pictures and before the model. Idempotent."""
        if self._context:
            mtmd_cpp.mtmd_free(self._context)
        self._context = None

    def _parts(self, number: int, bitmap: Any) -> Picture:
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        part = mtmd_cpp.mtmd_input_part(None, bitmap)
        listed = (ctypes.POINTER(mtmd_cpp.mtmd_input_part) * 1)(ctypes.pointer(part))
        picture = Picture([])
        try:
            with self._guard:
                code = mtmd_cpp.mtmd_tokenize_from_parts(self._context, chunks, listed, 1, False)
            if code:
                raise ImageUnreadable("an image cannot be prepared for this model", param="messages")
            for index in range(mtmd_cpp.mtmd_input_chunks_size(chunks)):
                picture.parts.append(self._part(number, index, mtmd_cpp.mtmd_input_chunks_get(chunks, index)))
        except BaseException:
            picture.free()
            raise
        finally:
            mtmd_cpp.mtmd_input_chunks_free(chunks)
        picture.size_bytes = sum(self.sight.kept_bytes(len(part.tokens)) for part in picture.parts if part.chunk)
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


def laid_out(part: Part, position: int) -> NDArray[np.int32]:
    """The positions for the places of a part with a width and a height that begins at ``position``: a row for each
    dimension."""
    laid = (mtmd_cpp.mtmd_decoder_pos * len(part.tokens))()
    image = mtmd_cpp.mtmd_input_chunk_get_tokens_image(part.chunk)
    mtmd_cpp.mtmd_helper_image_get_decoder_pos(image, position, laid)
    found = np.frombuffer(laid, dtype=[(name, np.uint32) for name in ("t", "x", "y", "z")])
    return np.array([found[name] for name in ("t", "y", "x", "z")], np.int32)
