"""One answer held to its grammar, token by token, and the compiler that makes such matchers.

A matcher of llguidance never raises: when it fails it calls itself stopped and allows the end, which would let a half
answer pass for a whole one. Here every step asks whether it has failed, and that is an error.
"""

from collections import OrderedDict
from typing import Final

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from bodhi_asgi.engine.constraints.translate import Grammar
from bodhi_asgi.engine.errors import ConstraintFailed, ConstraintInvalid

MAX_CACHED: Final = 64
MAX_CACHED_BYTES: Final = 1024 * 1024
"""Of grammar text; what is compiled from it takes some ten times as much."""

MAX_REASON_CHARS: Final = 300

LIMITS: Final = LLParserLimits(
    max_items_in_row=10_000,
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=100_000,
    max_lexer_states=50_000,
    max_grammar_size=500_000,
    verbose_errors=False,
)
"""What one grammar may cost: about 20 ms of lexing when it is made and 20 ms per token at the very most, and 100 MB."""

DEAD_ENDS: Final = ("NoExtension", "NoExtensionBias")


class Matcher:
    """Where one answer stands in its grammar. Used by one thread at a time."""

    def __init__(self, native: LLMatcher, n_vocab: int, param: str) -> None:
        self._native = native
        self._n_vocab = n_vocab
        self._param = param

    @property
    def is_complete(self) -> bool:
        """Whether the grammar is satisfied and allows nothing more."""
        return self._native.is_stopped() and self._native.is_accepting()

    def allows(self, token: int) -> bool:
        """Whether the token may come next: a few microseconds. Tokens that end an answer may where it is complete."""
        # A matcher that has failed would allow the end.
        return not self._native.is_error() and self._native.validate_tokens([token]) == 1

    def allowed(self) -> NDArray[np.intp]:
        """All tokens that may come next, in order; at least one. Raises ConstraintFailed."""
        mask = np.frombuffer(self._native.compute_bitmask(), np.uint8)
        self._refuse_failure()
        # As truth values, whose search is several times faster than that of numbers.
        tokens = np.flatnonzero(np.unpackbits(mask, count=self._n_vocab, bitorder="little").view(np.bool_))
        if not len(tokens):
            raise self._failed("no token of this model can go on from here")
        return tokens

    def advance(self, token: int) -> None:
        """Take a token that is allowed. Raises ConstraintFailed where that leads nowhere."""
        self._native.consume_token(token)
        self._refuse_failure()
        if self._native.is_stopped() and not self._native.is_accepting():
            raise self._failed("nothing can follow, and what stands there is not complete")

    def _refuse_failure(self) -> None:
        if self._native.is_error():
            if self._native.stop_reason() in DEAD_ENDS:
                raise self._failed("nothing can follow, and what stands there is not complete")
            raise self._failed("it is too ambiguous or too large to be followed from here")

    def _failed(self, why: str) -> ConstraintFailed:
        return ConstraintFailed(f"the answer cannot be completed under '{self._param}': {why}", param=self._param)


class GrammarCompiler:
    """Makes matchers for one model and keeps what was compiled last. Used by one thread at a time."""

    def __init__(self, tokenizer: LLTokenizer, n_vocab: int) -> None:
        self._tokenizer = tokenizer
        self._n_vocab = n_vocab
        self._compiled: OrderedDict[str, LLMatcher] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        """How many compiled grammars are kept."""
        return len(self._compiled)

    def matcher(self, grammar: Grammar) -> Matcher:
        """A matcher at the beginning of ``grammar``. Raises ConstraintInvalid with llguidance's reason."""
        native = self._compiled.get(grammar.text)
        if native is None:
            native = self._compile(grammar)
            self._keep(grammar.text, native)
        else:
            self._compiled.move_to_end(grammar.text)
        return Matcher(native.deep_copy(), self._n_vocab, grammar.param)

    def _compile(self, grammar: Grammar) -> LLMatcher:
        native = LLMatcher(self._tokenizer, grammar.text, log_level=0, limits=LIMITS)
        if not native.is_error():
            # The first mask is where much of a lexer is made: better here than between the tokens of others.
            native.compute_bitmask()
        if native.is_error():
            raise ConstraintInvalid(f"'{grammar.param}' cannot be enforced: {_reason(native)}", param=grammar.param)
        warnings = native.get_grammar_warnings()
        if warnings:
            raise ConstraintInvalid(
                f"'{grammar.param}' cannot be enforced in full: {warnings[0][:MAX_REASON_CHARS]}", param=grammar.param
            )
        return native

    def _keep(self, text: str, native: LLMatcher) -> None:
        self._compiled[text] = native
        self._bytes += len(text)
        while len(self._compiled) > MAX_CACHED or self._bytes > MAX_CACHED_BYTES:
            oldest, _ = self._compiled.popitem(last=False)
            self._bytes -= len(oldest)


def _reason(native: LLMatcher) -> str:
    reason = native.get_error().replace("<non-verbose/>", "").strip()
    if reason in ("NoExtensionBias", ""):
        reason = "no text satisfies it"
    elif any(word in reason for word in ("Too many items", "fuel", "Current row has", "too many expressions")):
        reason = "it is too ambiguous or too large to be followed"
    return " ".join(reason.split())[:MAX_REASON_CHARS]
