"""Drawing one token for one sequence: the native sampler chain of a request, and what shapes its logits before.

A request that asks for nothing else costs one call of ``llama_sampler_sample``. Others edit the context's own logits in
place first: each output of a step belongs to one sequence and is drawn from once.
"""

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine import sampler as steps
from bodhi_asgi.engine.dry import Repetitions, repetitions
from bodhi_asgi.engine.plan import Drawn
from bodhi_asgi.engine.runners.llama_guide import Guide
from bodhi_asgi.engine.runners.llama_think import ThinkingBudget
from bodhi_asgi.engine.runners.llama_vocabulary import LlamaVocabulary
from bodhi_asgi.engine.runners.logprobs import logprobs
from bodhi_asgi.engine.thoughts import Thoughts
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import GenerateRequest

Logits: TypeAlias = NDArray[np.float32]


WIDE: Final = 16_384
"""From so many tokens on, looking for the likeliest here costs less than a chain, which writes all of them down first:
a twentieth of a millisecond for 150,000 of them instead of a fifth."""


class Shaper(Protocol):
    """Has a say in what a sequence's next token may be."""

    def shape(self, logits: Logits) -> None:
        """Edit the logits in place, one per token of the vocabulary; at least one must stay finite."""
        ...

    def accept(self, token: int) -> None:
        """Hear which token was drawn."""
        ...


class Drawer:
    """Draws the tokens of one sequence. Lives from ``begin`` to ``end``, through preemptions, and no longer."""

    def __init__(
        self,
        context: Any,
        vocabulary: LlamaVocabulary,
        request: GenerateRequest,
        prompt: Sequence[int],
        guide: Guide | None = None,
    ) -> None:
        self._context = context
        self._guide = guide
        self._row = ctypes.c_float * len(vocabulary)
        self._shapers = tuple(shapers_of(request, vocabulary, prompt, llama_cpp.llama_n_ctx(context)))
        self._top = request.logprobs
        chain = chain_of(request, vocabulary)
        self._is_greedy = chain == [steps.Greedy()] and len(vocabulary) >= WIDE
        self._chain = native_chain(chain, len(vocabulary))

    def draw(self, index: int) -> Drawn:
        """The next token, by the logits of the last step's output ``index``, which must have some."""
        if not self._shapers and self._guide is None and self._top is None:
            return Drawn(self._pick(index))
        logits = self._logits(index)
        own = logits.copy() if self._top is not None and self._shapers else logits
        for shaper in self._shapers:
            shaper.shape(logits)
        drawn = Drawn(self._pick(index)) if self._guide is None else self._guide.draw(self._chain, logits)
        if drawn.error is None:
            for shaper in self._shapers:
                shaper.accept(drawn.token)
            if self._top is not None:
                logprob, top = logprobs(own, drawn.token, self._top)
                return replace(drawn, logprob=logprob, top=top)
        return drawn

    def score(self, first: int, tokens: Sequence[int]) -> tuple[Drawn, ...]:
        """The log probabilities of tokens that are given, by the outputs from index ``first`` on."""
        top = self._top or 0
        found = (logprobs(self._logits(index), token, top) for index, token in enumerate(tokens, first))
        return tuple(Drawn(token, *values) for token, values in zip(tokens, found, strict=True))

    def free(self) -> None:
        """Release the chain, which owns its samplers."""
        llama_cpp.llama_sampler_free(self._chain)

    def _pick(self, index: int) -> int:
        if self._is_greedy:
            return int(self._logits(index).argmax())
        return int(llama_cpp.llama_sampler_sample(self._chain, self._context, index))

    def _logits(self, index: int) -> Logits:
        """The context's own memory, not a copy: good until the next step."""
        first = llama_cpp.llama_get_logits_ith(self._context, index)
        return np.frombuffer(memoryview(self._row.from_address(ctypes.addressof(first.contents))), np.float32)


class NotYetEnding:
    """Forbids the tokens that end an answer until ``min_tokens`` were drawn."""

    def __init__(self, ends: Iterable[int], min_tokens: int) -> None:
        self._ends = np.fromiter(ends, np.int64)
        self._left = min_tokens

    def shape(self, logits: Logits) -> None:
        if self._left > 0:
            logits[self._ends] = -np.inf

    def accept(self, token: int) -> None:  # noqa: ARG002
        self._left -= 1


class NotRepeating:
    """Takes from the logits of tokens that would go on with a repetition."""

    def __init__(self, repetitions: Repetitions) -> None:
        self._repetitions = repetitions

    def shape(self, logits: Logits) -> None:
        for token, penalty in self._repetitions.penalties().items():
            logits[token] -= penalty

    def accept(self, token: int) -> None:
        self._repetitions.accept(token)


def shapers_of(
    request: GenerateRequest, vocabulary: LlamaVocabulary, prompt: Sequence[int], n_ctx: int
) -> Iterator[Shaper]:
    """What the request's own options ask for beyond a native chain."""
    if repeated := repetitions(request.sampling, prompt, vocabulary.piece, n_ctx):
        yield NotRepeating(repeated)
    if request.min_tokens:
        ends = (*vocabulary.end_tokens, *request.stop_tokens)
        if ends:
            yield NotYetEnding(ends, request.min_tokens)
    thinking = vocabulary.family.thinking
    if request.thinking_budget is not None and thinking is not None and isinstance(request.prompt, ChatPrompt):
        thoughts = Thoughts(thinking, vocabulary.opening(prompt))
        yield ThinkingBudget(vocabulary, thoughts, thinking.close, request.thinking_budget)


def chain_of(request: GenerateRequest, vocabulary: LlamaVocabulary) -> list[steps.Step]:
    """The steps by which its tokens are drawn. Raises Invalid for options that this vocabulary cannot honour."""
    n_vocab = len(vocabulary)
    _refuse_outside("logit_bias", (token for token, _ in request.sampling.logit_bias), n_vocab)
    _refuse_outside("stop_token_ids", request.stop_tokens, n_vocab)
    return steps.chain(request.sampling, vocabulary.end_tokens if request.ignore_eos else ())


def native_chain(chosen: Iterable[steps.Step], n_vocab: int) -> Any:
    """Those steps as llama.cpp has them."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for step in chosen:
        llama_cpp.llama_sampler_chain_add(chain, _native(step, n_vocab))
    return chain


def _refuse_outside(name: str, tokens: Iterable[int], n_vocab: int) -> None:
    outside = next((token for token in tokens if not 0 <= token < n_vocab), None)
    if outside is not None:
        raise Invalid(f"'{name}' names the token {outside}; this model's tokens end at {n_vocab - 1}", param=name)


def _native(step: steps.Step, n_vocab: int) -> Any:
    match step:
        case steps.LogitBias(pairs):
            biases = (llama_cpp.llama_logit_bias * len(pairs))(*pairs)
            return llama_cpp.llama_sampler_init_logit_bias(n_vocab, len(pairs), biases)
        case steps.TopK(k):
            return llama_cpp.llama_sampler_init_top_k(k)
        case steps.Penalties(last_n, repeat, frequency, presence):
            return llama_cpp.llama_sampler_init_penalties(n_vocab, last_n, repeat, frequency, presence)
        case steps.Typical(p):
            return llama_cpp.llama_sampler_init_typical(p, 1)
        case steps.TopP(p):
            return llama_cpp.llama_sampler_init_top_p(p, 1)
        case steps.MinP(p):
            return llama_cpp.llama_sampler_init_min_p(p, 1)
        case steps.TopNSigma(n):
            return llama_cpp.llama_sampler_init_top_n_sigma(n)
        case steps.Xtc(probability, threshold, seed):
            return llama_cpp.llama_sampler_init_xtc(probability, threshold, 1, seed)
        case steps.Temperature(t):
            return llama_cpp.llama_sampler_init_temp(t)
        case steps.DynamicTemperature(t, spread, exponent):
            return llama_cpp.llama_sampler_init_temp_ext(t, spread, exponent)
        case steps.Mirostat(1, tau, eta, seed):
            return llama_cpp.llama_sampler_init_mirostat(n_vocab, seed, tau, eta, steps.MIROSTAT_M)
        case steps.Mirostat(_, tau, eta, seed):
            return llama_cpp.llama_sampler_init_mirostat_v2(seed, tau, eta)
        case steps.Greedy():
            return llama_cpp.llama_sampler_init_greedy()
        case steps.Draw(seed):
            return llama_cpp.llama_sampler_init_dist(seed)
