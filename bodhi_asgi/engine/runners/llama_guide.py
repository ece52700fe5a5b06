"""What a llama.cpp model needs to be held to a grammar: its vocabulary as llguidance reads it, and drawing under it.

A token is drawn first and asked about then, which takes microseconds and is most often right; only when the grammar
refuses it are all tokens asked about, and the chain draws again from those that are allowed.
"""

import ctypes
from collections.abc import Set
from typing import Any, Final

import llama_cpp
import numpy as np
from llguidance import LLTokenizer
from numpy.typing import NDArray

from bodhi_asgi.engine.constraints.matcher import Matcher
from bodhi_asgi.engine.constraints.tools import answer_grammar
from bodhi_asgi.engine.constraints.translate import Grammar, grammar_of
from bodhi_asgi.engine.errors import ConstraintFailed
from bodhi_asgi.engine.plan import Drawn
from bodhi_asgi.engine.runners.llama_vocabulary import LlamaVocabulary
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import GenerateRequest

TOKEN_DATA: Final = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
"""``llama_token_data``; a test compares the sizes."""

NO_TOKEN: Final = -1

SPECIAL: Final = b"\xff"
"""What llguidance has before the text of a token that is no text."""


class Candidates:
    """The tokens that a chain chooses from, in an array of our own that all drawers of a model use in turn."""

    def __init__(self, n_vocab: int) -> None:
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._data = np.zeros(n_vocab, TOKEN_DATA)
        self._first = self._data.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        self._native = llama_cpp.llama_token_data_array()

    def draw(self, chain: Any, logits: NDArray[np.float32], tokens: NDArray[np.intp] | None = None) -> int:
        """One of ``tokens``, or of all, as the chain chooses; the chain is not told."""
        if tokens is None:
            return self._draw(chain, self._ids, logits)
        chosen = logits[tokens]
        if len(tokens) == 1 or not np.isfinite(chosen.max()):
            # Nothing to choose from, or nothing but what the request would have forbidden.
            return int(tokens[0])
        return self._draw(chain, tokens, chosen)

    def _draw(self, chain: Any, ids: NDArray[Any], logits: NDArray[np.float32]) -> int:
        # Every call writes the array anew: samplers sort it, and cut it short at both ends.
        size = len(ids)
        self._native.data = self._first
        self._data["id"][:size] = ids
        self._data["logit"][:size] = logits
        self._data["p"][:size] = 0
        self._native.size = size
        self._native.selected = -1
        self._native.sorted = False
        llama_cpp.llama_sampler_apply(chain, ctypes.byref(self._native))
        assert 0 <= self._native.selected < self._native.size, "a chain that picks no token"
        return int(self._native.data[self._native.selected].id)


class Guide:
    """Draws the tokens of one sequence so that its grammar holds."""

    def __init__(self, matcher: Matcher, candidates: Candidates, ends: Set[int]) -> None:
        self._matcher = matcher
        self._candidates = candidates
        self._ends = ends

    def draw(self, chain: Any, logits: NDArray[np.float32]) -> Drawn:
        """The next token. The chain is told of it, and of no other that was tried."""
        try:
            token = self._candidates.draw(chain, logits)
            if not self._matcher.allows(token):
                token = self._candidates.draw(chain, logits, self._matcher.allowed())
            if token not in self._ends:
                self._matcher.advance(token)
        except ConstraintFailed as error:
            return Drawn(NO_TOKEN, error=error)
        llama_cpp.llama_sampler_accept(chain, token)
        return Drawn(token, is_last=self._matcher.is_complete)


def answer_grammar_of(request: GenerateRequest, vocabulary: LlamaVocabulary) -> Grammar:
    """What the answer is held to: a form, calls of tools, thoughts before either. Raises ConstraintInvalid."""
    prompt, constraint, family = request.prompt, request.constraint, vocabulary.family
    is_bare = request.tool_use is None and (family.thinking is None or not isinstance(prompt, ChatPrompt))
    if constraint is not None and is_bare:
        return grammar_of(constraint)
    assert isinstance(prompt, ChatPrompt), "tools belong to conversations"
    return answer_grammar(
        family,
        spell=vocabulary.spell,
        opening=vocabulary.opening_of(prompt),
        tools=prompt.tools if request.tool_use is not None else (),
        use=request.tool_use,
        constraint=constraint,
    )


def make_tokenizer(vocabulary: LlamaVocabulary) -> LLTokenizer:
    """The vocabulary for llguidance. Seconds for a large one.

    A vocabulary without a token that ends a turn is given one beyond its last: nothing can draw it, so that an answer
    ends where its grammar does.
    """
    tokens = [
        SPECIAL + vocabulary.special_text(token) if vocabulary.is_special(token) else vocabulary.piece(token)
        for token in range(len(vocabulary))
    ]
    ends = sorted(vocabulary.end_tokens)
    if not ends:
        ends = [len(tokens)]
        tokens.append(SPECIAL + b"<end>")
    tokenize = ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value
    # Declared nowhere, and what llguidance.llamacpp itself calls with a list of its own making.
    return LLTokenizer.from_llamacpp(  # type: ignore[attr-defined,no-any-return]
        tokens=tokens, vocab_ptr=vocabulary.native, tokenize_fptr=tokenize, eos_token=ends, slices=None
    )
