"""From a completions body to neutral requests, one for each prompt, refusing by name whatever is wrong or too much."""

from dataclasses import dataclass
from typing import Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_completions.schema import CompletionRequest
from bodhi_asgi.messages.conversation import InfillPrompt, Prompt, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.adapters import adapters_of
from bodhi_asgi.wire.constraint import constraint_of
from bodhi_asgi.wire.inputs import prompts_of
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import without_neutral
from bodhi_asgi.wire.sampling import choices_of, endings_of, sampling_of

DEFAULT_MAX_TOKENS: Final = 16
"""OpenAI's."""


@dataclass(frozen=True, slots=True)
class CompletionCall:
    """A decoded call: what to generate, and how the client wants to receive it."""

    requests: tuple[GenerateRequest, ...]
    stream: bool
    include_usage: bool

    @property
    def model(self) -> str:
        return self.requests[0].model


def decode(body: JSONObject | CompletionRequest, limits: RequestLimits) -> CompletionCall:
    """Translate a completions body. Raises Invalid whose ``param`` is the path of the offending field."""
    if isinstance(body, CompletionRequest):
        wire = body
    else:
        wire = validated(CompletionRequest, without_neutral(body, {}, frozenset()), {"prompt": limits.prompts})
    if wire.stream_options is not None and not wire.stream:
        raise Invalid("'stream_options' is only accepted together with 'stream': true", param="stream_options")
    prompts = _prompts(wire)
    n, best_of = _answers(wire, limits, len(prompts))
    max_tokens = DEFAULT_MAX_TOKENS if wire.max_tokens is None else wire.max_tokens
    if wire.max_tokens is None and (wire.min_tokens or 0) > max_tokens:
        max_tokens = wire.min_tokens or 0
    if max_tokens == 0 and not wire.echo:
        raise Invalid("'max_tokens' is 0, which leaves nothing to answer without 'echo'", param="max_tokens")
    sampling, adapters, constraint = sampling_of(wire, limits), adapters_of(wire.lora), constraint_of(wire)
    endings = endings_of(wire, limits, max_tokens)
    requests = tuple(
        GenerateRequest(
            model=wire.model,
            prompt=prompt,
            sampling=sampling,
            n=n,
            best_of=best_of,
            logprobs=wire.logprobs,
            echo=bool(wire.echo),
            adapters=adapters,
            constraint=constraint,
            keep_alive_s=wire.keep_alive,
            priority=wire.priority or 0,
            assumed=("max_tokens",) if wire.max_tokens is None else (),
            **endings,
        )
        for prompt in prompts
    )
    include_usage = bool(wire.stream_options and wire.stream_options.include_usage)
    return CompletionCall(requests, bool(wire.stream), include_usage)


def _prompts(wire: CompletionRequest) -> tuple[Prompt, ...]:
    prompts = prompts_of(wire.prompt)
    if wire.suffix is None:
        return prompts
    if wire.echo:
        raise Invalid("'suffix' and 'echo' do not go together; leave one of them out", param="suffix")
    if not all(isinstance(prompt, TextPrompt) for prompt in prompts):
        raise Invalid("'suffix' goes with prompts of text; these are tokens", param="suffix")
    return tuple(InfillPrompt(prompt.text, wire.suffix) for prompt in prompts if isinstance(prompt, TextPrompt))


def _answers(wire: CompletionRequest, limits: RequestLimits, prompts: int) -> tuple[int, int]:
    """How many answers each prompt gets, and from how many the best are taken."""
    if prompts > limits.prompts:
        raise Invalid(f"'prompt' has {prompts} items; at most {limits.prompts} are accepted", param="prompt")
    n = choices_of(wire.n, limits)
    best_of = choices_of(wire.best_of, limits, param="best_of") if wire.best_of else n
    if best_of < n:
        raise Invalid(f"'best_of' is {best_of}, and 'n' wants {n} of them", param="best_of")
    if best_of > n and wire.stream:
        raise Invalid("'best_of' is known when all is written; it does not go with 'stream'", param="best_of")
    most = max(limits.prompts, limits.choices)
    if prompts * best_of > most:
        param = "best_of" if best_of > n else "n"
        raise Invalid(
            f"{prompts} prompts with {best_of} answers each are {prompts * best_of}; at most {most} are accepted",
            param=param,
        )
    return n, best_of
