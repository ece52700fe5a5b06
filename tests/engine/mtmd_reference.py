"""What llama.cpp's own helper makes of a prompt with images: ``mtmd_helper_eval_chunks``, and a greedy loop behind it.

Nothing of the engine is in it but the text of the prompt, so that the two can be compared.
"""

import base64
import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import llama_cpp
import numpy as np
from llama_cpp import mtmd_cpp

from bodhi_asgi.messages.conversation import IMAGE_MARK, Image

N_BATCH = 512


@dataclass(frozen=True)
class Told:
    """Greedy tokens with their log probabilities, and how many tokens and positions the prompt had."""

    tokens: list[int]
    logprobs: list[float]
    prompt_tokens: int
    prompt_positions: int


class Helper:
    """A model with its projector, in a context of one sequence."""

    def __init__(self, model: Path, projector: Path, *, n_ctx: int = 1024) -> None:
        llama_cpp.llama_backend_init()
        params = llama_cpp.llama_model_default_params()
        self._model = llama_cpp.llama_model_load_from_file(str(model).encode(), params)
        assert self._model
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        fields = llama_cpp.llama_context_default_params()
        fields.n_ctx, fields.n_batch, fields.n_ubatch = n_ctx, N_BATCH, N_BATCH
        # In full precision: what is rounded depends on who else is in the batch.
        fields.type_k = fields.type_v = llama_cpp.GGML_TYPE_F32
        fields.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        fields.n_threads = fields.n_threads_batch = 1
        self._context = llama_cpp.llama_init_from_model(self._model, fields)
        assert self._context
        options = mtmd_cpp.mtmd_context_params_default()
        options.use_gpu, options.print_timings, options.n_threads = False, False, 1
        self._eyes = mtmd_cpp.mtmd_init_from_file(str(projector).encode(), self._model, options)
        assert self._eyes

    def close(self) -> None:
        mtmd_cpp.mtmd_free(self._eyes)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def tell(self, text: str, images: Sequence[Image], *, most: int) -> Told:
        """Read a rendered prompt and go on with up to ``most`` tokens."""
        memory = llama_cpp.llama_get_memory(self._context)
        llama_cpp.llama_memory_clear(memory, True)
        chunks = self._chunks(text, images)
        end = llama_cpp.llama_pos()
        code = mtmd_cpp.mtmd_helper_eval_chunks(
            self._eyes, self._context, chunks, 0, 0, N_BATCH, True, ctypes.byref(end)
        )
        assert code == 0
        counted = mtmd_cpp.mtmd_helper_get_n_tokens(chunks), mtmd_cpp.mtmd_helper_get_n_pos(chunks)
        mtmd_cpp.mtmd_input_chunks_free(chunks)
        tokens: list[int] = []
        scores: list[float] = []
        token = (llama_cpp.llama_token * 1)()
        while len(tokens) < most:
            found, score = self._likeliest()
            if llama_cpp.llama_vocab_is_eog(self._vocab, found):
                break
            tokens.append(found)
            scores.append(score)
            token[0] = found
            # Without positions llama.cpp goes on behind the last one that it remembers, which an image's is not.
            batch = llama_cpp.llama_batch_init(1, 0, 1)
            batch.n_tokens = batch.n_seq_id[0] = batch.logits[0] = 1
            batch.token[0], batch.pos[0], batch.seq_id[0][0] = found, end.value + len(tokens) - 1, 0
            assert llama_cpp.llama_decode(self._context, batch) == 0
            llama_cpp.llama_batch_free(batch)
        return Told(tokens, scores, *counted)

    def _likeliest(self) -> tuple[int, float]:
        size = llama_cpp.llama_vocab_n_tokens(self._vocab)
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self._context, -1), shape=(size,)).astype(float)
        best = int(np.argmax(logits))
        return best, float(logits[best] - logits.max() - np.log(np.exp(logits - logits.max()).sum()))

    def _chunks(self, text: str, images: Sequence[Image]) -> object:
        marked = text.replace(IMAGE_MARK, mtmd_cpp.mtmd_default_marker().decode()).encode()
        asked = mtmd_cpp.mtmd_input_text(marked, len(marked), True, True)
        bitmaps = [self._bitmap(base64.b64decode(image.data)) for image in images]
        listed = (mtmd_cpp.mtmd_bitmap_p_ctypes * len(bitmaps))(*bitmaps)
        chunks = mtmd_cpp.mtmd_input_chunks_init()
        assert mtmd_cpp.mtmd_tokenize(self._eyes, chunks, ctypes.byref(asked), listed, len(bitmaps)) == 0
        for bitmap in bitmaps:
            mtmd_cpp.mtmd_bitmap_free(bitmap)
        return chunks

    def _bitmap(self, data: bytes) -> object:
        buffer = (ctypes.c_uint8 * len(data)).from_buffer_copy(data)
        options = mtmd_cpp.mtmd_helper_init_opt_default()
        loaded = mtmd_cpp.mtmd_helper_bitmap_init_from_buf_wrapper(self._eyes, buffer, len(data), False, options)
        assert loaded.bitmap
        return loaded.bitmap
