"""Drawing one token for one sequence: the native sampler chain of a request, and what shapes its logits before.

A request that asks for nothing else costs one call of ``llama_sampler_sample``. Others edit the context's own logits in
place first: each output of a step belongs to one sequence and is drawn from once.
"""

import ctypes
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine import sampler as steps
from bodhi_asgi.engine.plan import Drawn
from bodhi_asgi.engine.runners.llama_guide import Guide
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages import GenerateRequest

Logits: TypeAlias = NDArray[np.float32]


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
        n_vocab: int,
        request: GenerateRequest,
        shapers: Sequence[Shaper] = (),
        guide: Guide | None = None,
    ) -> None:
        self._context = context
        self._shapers = tuple(shapers)
        self._guide = guide
        self._row = ctypes.c_float * n_vocab
        self._chain = native_chain(request, n_vocab)

    def draw(self, index: int) -> Drawn:
        """The next token, by the logits of the last step's output ``index``, which must have some."""
        if not self._shapers and self._guide is None:
            return Drawn(llama_cpp.llama_sampler_sample(self._chain, self._context, index))
        logits = self._logits(index)
        for shaper in self._shapers:
            shaper.shape(logits)
        if self._guide is None:
            drawn = Drawn(llama_cpp.llama_sampler_sample(self._chain, self._context, index))
        else:
            drawn = self._guide.draw(self._chain, logits)
        for shaper in self._shapers:
            shaper.accept(drawn.token)
        return drawn

    def free(self) -> None:
        """Release the chain, which owns its samplers."""
        llama_cpp.llama_sampler_free(self._chain)

    def _logits(self, index: int) -> Logits:
        """The context's own memory, not a copy: good until the next step."""
        first = llama_cpp.llama_get_logits_ith(self._context, index)
        return np.frombuffer(memoryview(self._row.from_address(ctypes.addressof(first.contents))), np.float32)


def native_chain(request: GenerateRequest, n_vocab: int) -> Any:
    """The request's sampler chain. Raises Invalid for options that this vocabulary cannot honour."""
    outside = [token for token, _ in request.sampling.logit_bias if token >= n_vocab]
    if outside:
        raise Invalid(
            f"'logit_bias' names the token {outside[0]}; this model's tokens end at {n_vocab - 1}",
            param="logit_bias",
        )
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    for step in steps.chain(request.sampling):
        llama_cpp.llama_sampler_chain_add(chain, _native(step, n_vocab))
    return chain


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
        case steps.Temperature(t):
            return llama_cpp.llama_sampler_init_temp(t)
        case steps.Greedy():
            return llama_cpp.llama_sampler_init_greedy()
        case steps.Draw(seed):
            return llama_cpp.llama_sampler_init_dist(seed)
