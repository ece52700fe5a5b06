"""The vocabulary of a loaded llama.cpp model: rendering, tokenising, pieces.

Text of a template may contain control tokens, text of people may not: what the template marks as theirs is tokenised
with the control tokens switched off.
"""

import ctypes
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import llama_cpp

from bodhi_asgi.engine.errors import ContextLengthExceeded, ImagesUnsupported, PromptInvalid
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.sizes import check_bytes, checked
from bodhi_asgi.engine.templates import ChatTemplate, Fence
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, InfillPrompt, Prompt, TokenPrompt

if TYPE_CHECKING:
    from bodhi_asgi.engine.runners.llama_images import LlamaImages

PIECE_BYTES: Final = 256
PLACES: Final = re.compile(r"\{query\}|\{document\}")
CONTROL: Final = 8
"""``LLAMA_TOKEN_ATTR_CONTROL``."""
OPENING_CHARS: Final = 256
OPENING_TOKENS: Final = 24
"""The last tokens of a prompt, among which an answer may be opened."""
SLICE_CHARS: Final = 8 * 1024
"""Of a long text that is looked at piece by piece."""

CUT_TOKENS: Final = 16
"""More than a cut through a text makes of the token that it goes through."""

MAX_CHAR_TOKENS: Final = 4
"""A character that is none of the vocabulary's is written byte by byte."""

USER_DEFINED: Final = 16
"""``LLAMA_TOKEN_ATTR_USER_DEFINED``."""


class LlamaVocabulary:
    """Tokens of one model. Lives as long as the model and no longer."""

    def __init__(
        self, model: Any, metadata: dict[str, str], images: "LlamaImages | None" = None, *, n_ctx: int
    ) -> None:
        self._images = images
        self._n_ctx = n_ctx
        self.native: Final = llama_cpp.llama_model_get_vocab(model)
        self._vocab = self.native
        # SentencePiece's takes ten seconds for some hundred thousand line breaks, the others grow with the length only.
        self._is_slow = llama_cpp.llama_vocab_type(self._vocab) == llama_cpp.LLAMA_VOCAB_TYPE_SPM
        self._size = int(llama_cpp.llama_vocab_n_tokens(self._vocab))
        self._pieces: list[bytes | None] = [None] * self._size
        self.end_tokens: Final = frozenset(t for t in range(self._size) if llama_cpp.llama_vocab_is_eog(self._vocab, t))
        self._rerank_template = metadata.get("tokenizer.chat_template.rerank")
        self._last_query: tuple[str, list[int]] = ("", [])
        self._template = ChatTemplate(
            metadata.get("tokenizer.chat_template"),
            bos_token=self._special(llama_cpp.llama_vocab_bos(self._vocab)),
            eos_token=self._special(llama_cpp.llama_vocab_eos(self._vocab)),
        )
        self._markers, self._marks = self._marking_tokens()
        self._special_tokens = {
            self.special_text(token).decode(errors="replace"): token
            for token in sorted(self._markers)
            if self.is_special(token)
        }
        longest_first = sorted(map(re.escape, self._special_tokens), key=len, reverse=True)
        self._special_split = re.compile(f"({'|'.join(longest_first)})" if longest_first else "(?!)")
        self._fence = Fence(self._control_texts(), sorted(self._marks))

    def __len__(self) -> int:
        return self._size

    def encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, ChatPrompt):
            images = self._images_of(prompt)
            rendered = self._template.render(prompt, self._fence)
            # Tools and marks are part of it only now, and a tokenizer's cost may grow with the square of its text.
            check_bytes(len(rendered.encode("utf-8", "replace")), "the prompt", "messages", self._n_ctx)
            self._refuse_too_many("".join(text for text, _ in self._fence.spans(rendered)), "messages")
            return self._tokens(rendered, images)
        if isinstance(prompt, TokenPrompt):
            return checked(prompt.tokens, self._size, param="prompt")
        if isinstance(prompt, InfillPrompt):
            self._refuse_too_many(prompt.prefix + prompt.suffix, "prompt")
            return self._infill(prompt)
        self._refuse_too_many(prompt.text, "prompt")
        return self.tokens(prompt.text, add_special=True, parse_special=False)

    def _infill(self, prompt: InfillPrompt) -> list[int]:
        """Before and after, each behind its mark, then the mark of the middle: as most models were trained."""
        vocab = self._vocab
        before, after, middle = (
            llama_cpp.llama_vocab_fim_pre(vocab),
            llama_cpp.llama_vocab_fim_suf(vocab),
            llama_cpp.llama_vocab_fim_mid(vocab),
        )
        if min(before, after, middle) < 0:
            raise PromptInvalid("this model cannot fill in text: it has no tokens for it", param="suffix")
        begin = [llama_cpp.llama_vocab_bos(vocab)] if llama_cpp.llama_vocab_get_add_bos(vocab) else []
        prefix, suffix = (
            self.tokens(text, add_special=False, parse_special=False) if text else []
            for text in (prompt.prefix, prompt.suffix)
        )
        return [*begin, before, *prefix, after, *suffix, middle]

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        if self._is_slow:
            self._refuse_too_many(text, "prompt")
        return self._tokenize(text.encode("utf-8", "replace"), add_special=add_special, parse_special=parse_special)

    def pair(self, query: str, document: str) -> list[int]:
        if self._rerank_template is not None:
            asked = {"{query}": self._fence.around(query), "{document}": self._fence.around(document)}
            rendered = PLACES.sub(lambda found: asked[found[0]], self._rerank_template)
            return self._spans(rendered, iter(()), add_special=False)
        vocab = self._vocab
        begin, end, between = (
            [token] if is_added and token >= 0 else []
            for token, is_added in (
                (llama_cpp.llama_vocab_bos(vocab), llama_cpp.llama_vocab_get_add_bos(vocab)),
                (llama_cpp.llama_vocab_eos(vocab), llama_cpp.llama_vocab_get_add_eos(vocab)),
                (llama_cpp.llama_vocab_sep(vocab), llama_cpp.llama_vocab_get_add_sep(vocab)),
            )
        )
        last = self._last_query  # another thread may be at another query
        if query != last[0]:
            last = self._last_query = (query, self.tokens(query, add_special=False, parse_special=False))
        read = self.tokens(document, add_special=False, parse_special=False)
        return [*begin, *last[1], *end, *between, *read, *(end or between)]

    def render(self, prompt: ChatPrompt) -> str:
        rendered = self._template.render(prompt, self._fence)
        return "".join(text for text, _ in self._fence.spans(rendered))

    @property
    def family(self) -> Family:
        return self._template.family

    def spell(self, marker: str) -> list[str | int]:
        """A marker as pieces of text and the numbers of the tokens in it that are marks, in order."""
        return [self._special_tokens.get(piece, piece) for piece in self._special_split.split(marker) if piece]

    def opening_of(self, prompt: ChatPrompt) -> str:
        """As :meth:`opening`, from the conversation itself. Raises PromptInvalid."""
        return self.family.opening(self.render(prompt)[-OPENING_CHARS:])

    def opening(self, tokens: Sequence[int]) -> str:
        tail = b"".join(self.spelled(token) for token in tokens[-OPENING_TOKENS:])
        return self.family.opening(tail.decode(errors="replace"))

    def spelled(self, token: int) -> bytes:
        # A place of an image is no token that llama.cpp knows, and it ends its process over those.
        return b"" if token < 0 else self._read_piece(token, special=True)

    def piece(self, token: int) -> bytes:
        piece = self._pieces[token]
        if piece is None:
            # Of control tokens, only those have a text here that mark thoughts and calls of this model's family.
            piece = self._pieces[token] = self._read_piece(token, special=token in self._markers)
        return piece

    def ends(self, token: int) -> bool:
        return token in self.end_tokens

    def is_special(self, token: int) -> bool:
        """Whether the token is a mark and no text: a control token, or one of the model's own that is written so."""
        attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
        if attributes & CONTROL:
            return True
        text = self.special_text(token) if attributes & USER_DEFINED else b""
        return text.startswith(b"<") and text.endswith(b">")

    def special_text(self, token: int) -> bytes:
        """What a mark is written as where it is meant to be one."""
        return self._special(token).encode()

    def _images_of(self, prompt: ChatPrompt) -> list[list[int]]:
        if prompt.images and self._images is None:
            raise ImagesUnsupported(
                "this model reads no images: its settings name no projector ('mmproj')", param="messages"
            )
        return [self._images.tokens(image) for image in prompt.images] if self._images is not None else []

    def _tokens(self, rendered: str, images: Sequence[list[int]]) -> list[int]:
        """Rendered text as tokens, span by span, with the images in their places.

        A template that writes the begin token itself gets no second one.
        """
        if rendered.count(IMAGE_MARK) != len(images):
            raise PromptInvalid("the model's chat template does not show every image once", param="messages")
        tokens = self._spans(rendered, iter(images), add_special=True)
        if tokens and tokens[-1] < 0:
            raise PromptInvalid("the model's chat template ends with an image, behind which nothing can be said")
        bos = llama_cpp.llama_vocab_bos(self._vocab)
        if tokens[:2] == [bos, bos]:
            del tokens[0]
        if not tokens:
            raise PromptInvalid("the model's chat template made an empty prompt of the messages", param="messages")
        return tokens

    def _spans(self, rendered: str, images: Iterator[list[int]], *, add_special: bool) -> list[int]:
        tokens: list[int] = []
        for text, is_fenced in self._fence.spans(rendered):
            # A token that the model's makers added to its vocabulary is found in any text, unless that comes in parts.
            for index, piece in enumerate(text.split(IMAGE_MARK)):
                tokens += next(images, ()) if index else ()
                for part in (piece[:1], piece[1:]) if is_fenced and piece in self._marks else (piece,):
                    if part or not tokens:
                        first = add_special and not tokens
                        tokens += self.tokens(part, add_special=first, parse_special=not is_fenced)
        return tokens

    def _refuse_too_many(self, text: str, param: str) -> None:
        """Refuse text of clearly more tokens than any answer has room for, reading it slice by slice up to there.

        In one piece it may take minutes: the cost of some tokenizers grows with the square of what they are given.
        """
        least = 0
        if len(text) > SLICE_CHARS:
            for begin in range(0, len(text), SLICE_CHARS):
                if MAX_CHAR_TOKENS * (len(text) - begin) + least <= self._n_ctx:
                    return
                piece = text[begin : begin + SLICE_CHARS].encode("utf-8", "replace")
                least += max(0, len(self._tokenize(piece, add_special=False, parse_special=True)) - CUT_TOKENS)
                if least > self._n_ctx:
                    raise ContextLengthExceeded(
                        f"the prompt has more than {least} tokens, and the context holds {self._n_ctx} with the answer",
                        param=param,
                        n_ctx=self._n_ctx,
                    )

    def _tokenize(self, text: bytes, *, add_special: bool, parse_special: bool) -> list[int]:
        room = len(text) + 2
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self._vocab, text, len(text), buffer, room, add_special, parse_special)
        if count < 0:
            # A negative count is the room it needs.
            buffer = (llama_cpp.llama_token * -count)()
            count = llama_cpp.llama_tokenize(self._vocab, text, len(text), buffer, -count, add_special, parse_special)
        return list(buffer[:count])

    def _read_piece(self, token: int, *, special: bool = False) -> bytes:
        # A buffer of its own each time: what makes matchers reads pieces in a thread of its own.
        buffer = ctypes.create_string_buffer(PIECE_BYTES)
        size = llama_cpp.llama_token_to_piece(self._vocab, token, buffer, PIECE_BYTES, 0, special)
        if size < 0:
            larger = ctypes.create_string_buffer(-size)
            size = llama_cpp.llama_token_to_piece(self._vocab, token, larger, -size, 0, special)
            return larger.raw[:size]
        return buffer.raw[:size]

    def _marking_tokens(self) -> tuple[frozenset[int], frozenset[str]]:
        """The tokens that stand in markers of the model's family, and the texts of those that are no control tokens."""
        markers = "\n".join(self.family.markers)
        tokens: set[int] = set()
        texts: set[str] = set()
        for token in range(self._size):
            attributes = llama_cpp.llama_vocab_get_attr(self._vocab, token)
            if attributes & (CONTROL | USER_DEFINED) and (text := self._special(token).strip()) and text in markers:
                tokens.add(token)
                texts |= set() if attributes & CONTROL else {text}
        return frozenset(tokens), frozenset(texts)

    def _control_texts(self) -> list[str]:
        vocab = self._vocab
        control = (t for t in range(self._size) if llama_cpp.llama_vocab_get_attr(vocab, t) & CONTROL)
        return [text for text in map(self._special, control) if text]

    def _special(self, token: int) -> str:
        if token < 0:
            return ""
        return (llama_cpp.llama_vocab_get_text(self._vocab, token) or b"").decode(errors="replace")
