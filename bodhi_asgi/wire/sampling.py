"""How tokens are chosen and when they end, as the fields that every dialect for local models shares.

Names are OpenAI's where it has one, else those of llama.cpp's server, with vLLM's as a second name where it differs.
Ranges stand in the fields, so that the OpenAPI document shows what is enforced.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.generation import Sampling
from bodhi_asgi.types import INT64_MAX
from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.limits import RequestLimits

KEY_OF_BIAS = "^[0-9]{1,9}$"
"""A token's id as the key of an object, which JSON has as text."""

StopString: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 64})]
"""The limit counts bytes, and is a setting; 64 characters are within the usual one."""

SequenceBreaker: TypeAlias = Annotated[str, Field(min_length=1, max_length=40)]

TokenId: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE]
"""Whether the model has the token is known by the engine."""

NARROWING: Final[Mapping[str, float]] = MappingProxyType(
    {
        "top_k": 0,
        "top_p": 1,
        "min_p": 0,
        "typical_p": 1,
        "xtc_probability": 0,
        "top_n_sigma": 0,
        "dynatemp_range": 0,
    }
)
"""What mirostat takes the place of, with the value that asks for nothing."""


class SamplingOptions(WireModel):
    """Options of a request that choose tokens and end answers."""

    stop: Annotated[
        StopString | Annotated[list[StopString], Field(fail_fast=True)] | None,
        Field(description="Texts before which the answer ends; they are not part of it."),
    ] = None
    temperature: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="Flattens the choice above 1 and sharpens it below; 0 takes the likeliest token."),
    ] = None
    top_p: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="Keep the likeliest tokens up to this much probability."),
    ] = None
    top_k: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000), WHOLE] | None,
        Field(description="Keep so many of the likeliest tokens; 0 keeps 256."),
    ] = None
    min_p: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="Keep tokens with at least this share of the likeliest one's probability."),
    ] = None
    typical_p: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        Field(description="Keep tokens that are as surprising as expected, up to this much probability."),
    ] = None
    repeat_penalty: Annotated[
        Annotated[float, Field(gt=0, le=10)] | None,
        Field(description="Make tokens of the answer less likely; 1 is off."),
    ] = None
    frequency_penalty: Annotated[
        Annotated[float, Field(ge=-2, le=2)] | None,
        Field(description="Make tokens less likely for each time they stand in the answer."),
    ] = None
    presence_penalty: Annotated[
        Annotated[float, Field(ge=-2, le=2)] | None,
        Field(description="Make tokens less likely that stand in the answer at all."),
    ] = None
    repetition_penalty: Annotated[
        Annotated[float, Field(gt=0, le=10)] | None, Field(description="Another name for repeat_penalty.")
    ] = None
    penalty_last_n: Annotated[
        Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None,
        Field(description="How many tokens back the penalties look; 0 is off, -1 the whole context."),
    ] = None
    repeat_last_n: Annotated[
        Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None, Field(description="Another name for penalty_last_n.")
    ] = None
    seed: Annotated[
        Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX), WHOLE] | None,
        Field(description="The same request with the same seed has the same answer; drawn if absent."),
    ] = None
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
        Field(
            description="What is added to the logits of tokens, by their ids.",
            json_schema_extra={"propertyNames": {"pattern": KEY_OF_BIAS}},
        ),
    ] = None
    mirostat: Annotated[
        Annotated[int, Field(ge=0, le=2), WHOLE] | None,
        Field(description="Draw so that the surprise stays even, by version 1 or 2; 0 is off."),
    ] = None
    mirostat_tau: Annotated[
        Annotated[float, Field(ge=0, le=100)] | None, Field(description="The surprise that mirostat aims at.")
    ] = None
    mirostat_eta: Annotated[
        Annotated[float, Field(ge=0, le=10)] | None, Field(description="How fast mirostat follows it.")
    ] = None
    dry_multiplier: Annotated[
        Annotated[float, Field(ge=0, le=100)] | None,
        Field(description="Make what would continue a repetition less likely; 0 is off."),
    ] = None
    dry_base: Annotated[
        Annotated[float, Field(ge=1, le=100)] | None,
        Field(description="How much more for each token that the repetition is longer."),
    ] = None
    dry_allowed_length: Annotated[
        Annotated[int, Field(ge=1, le=1000), WHOLE] | None,
        Field(description="Repetitions up to this length cost nothing."),
    ] = None
    dry_penalty_last_n: Annotated[
        Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None,
        Field(description="How many tokens back DRY looks; -1 is the whole context."),
    ] = None
    dry_sequence_breakers: Annotated[
        Annotated[list[SequenceBreaker], Field(max_length=16, fail_fast=True)] | None,
        Field(description="Texts that end a repetition."),
    ] = None
    xtc_probability: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="How often to leave out the likeliest of several good tokens; 0 is off."),
    ] = None
    xtc_threshold: Annotated[
        Annotated[float, Field(ge=0, le=1)] | None,
        Field(description="The probability from which on a token counts as good for XTC."),
    ] = None
    top_n_sigma: Annotated[
        Annotated[float, Field(ge=-1, le=100)] | None,
        Field(description="Keep logits within so many standard deviations of the largest; 0 and below is off."),
    ] = None
    dynatemp_range: Annotated[
        Annotated[float, Field(ge=0, le=2)] | None,
        Field(description="Let the temperature differ by so much, by how sure the model is."),
    ] = None
    dynatemp_exponent: Annotated[
        Annotated[float, Field(ge=0, le=100)] | None, Field(description="How the sureness becomes a temperature.")
    ] = None
    min_tokens: Annotated[
        Annotated[int, Field(ge=0, le=INT64_MAX), WHOLE] | None,
        Field(description="Before so many tokens, nothing ends the answer."),
    ] = None
    ignore_eos: Annotated[bool | None, Field(description="Go on where the model would end.")] = None
    stop_token_ids: Annotated[
        Annotated[list[TokenId], Field(max_length=64, fail_fast=True)] | None,
        Field(description="Tokens that end the answer."),
    ] = None


def sampling_of(wire: SamplingOptions, limits: RequestLimits) -> Sampling:
    """The neutral value. Raises Invalid for what goes beyond the limits, and for options that exclude each other."""
    _refuse_contradictions(wire)
    breakers = wire.dry_sequence_breakers
    return Sampling(
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        min_p=wire.min_p,
        typical_p=wire.typical_p,
        repeat_penalty=_either(wire, "repeat_penalty", "repetition_penalty"),
        frequency_penalty=wire.frequency_penalty,
        presence_penalty=wire.presence_penalty,
        penalty_last_n=_either(wire, "penalty_last_n", "repeat_last_n"),
        seed=wire.seed,
        logit_bias=_logit_bias(wire.logit_bias, limits),
        mirostat=wire.mirostat,
        mirostat_tau=wire.mirostat_tau,
        mirostat_eta=wire.mirostat_eta,
        dry_multiplier=wire.dry_multiplier,
        dry_base=wire.dry_base,
        dry_allowed_length=wire.dry_allowed_length,
        dry_penalty_last_n=wire.dry_penalty_last_n,
        dry_sequence_breakers=None if breakers is None else tuple(breakers),
        xtc_probability=wire.xtc_probability,
        xtc_threshold=wire.xtc_threshold,
        top_n_sigma=wire.top_n_sigma,
        dynatemp_range=wire.dynatemp_range,
        dynatemp_exponent=wire.dynatemp_exponent,
    )


def endings_of(wire: SamplingOptions, limits: RequestLimits, max_tokens: int | None) -> dict[str, Any]:
    """When the answer ends, as fields of a GenerateRequest. Raises Invalid for what cannot be or is too much."""
    min_tokens = wire.min_tokens or 0
    if max_tokens is not None and min_tokens > max_tokens:
        raise Invalid(f"'min_tokens' is {min_tokens}, and no more than {max_tokens} are wanted", param="min_tokens")
    return {
        "stop": _stop(wire, limits),
        "stop_tokens": tuple(wire.stop_token_ids or ()),
        "min_tokens": min_tokens,
        "ignore_eos": bool(wire.ignore_eos),
        "max_tokens": max_tokens,
    }


def _stop(wire: SamplingOptions, limits: RequestLimits) -> tuple[str, ...]:
    """The stop strings. Raises Invalid for too many, and for one that is empty or too long."""
    strings = (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())
    if len(strings) > limits.stop_strings:
        raise Invalid(f"'stop' has {len(strings)} strings; at most {limits.stop_strings} are accepted", param="stop")
    for index, string in enumerate(strings):
        size = len(string.encode())
        if not 1 <= size <= limits.stop_bytes:
            raise Invalid(
                f"'stop.{index}' has {size} bytes; from 1 to {limits.stop_bytes} are accepted", param=f"stop.{index}"
            )
    return strings


def choices_of(n: int | None, limits: RequestLimits, *, param: str = "n") -> int:
    """How many answers are wanted. Raises Invalid beyond the limit."""
    count = 1 if n is None else n
    if count > limits.choices:
        raise Invalid(f"'{param}' is {count}; at most {limits.choices} are accepted", param=param)
    return count


def _refuse_contradictions(wire: SamplingOptions) -> None:
    if wire.temperature == 0 and wire.dynatemp_range:
        raise Invalid(
            "'dynatemp_range' widens 'temperature', which is 0; leave one of them out", param="dynatemp_range"
        )
    if not wire.mirostat:
        return
    if wire.temperature == 0:
        raise Invalid("'mirostat' draws, and a 'temperature' of 0 does not; leave one of them out", param="mirostat")
    for name, nothing in NARROWING.items():
        value = getattr(wire, name)
        if value is not None and value != nothing and not (name == "top_n_sigma" and value < 0):
            raise Invalid(f"'mirostat' takes the place of '{name}'; leave one of them out", param=name)


def _either(wire: SamplingOptions, name: str, other: str) -> Any:
    """The value of a field with two names. Raises Invalid when both are given and differ."""
    first, second = getattr(wire, name), getattr(wire, other)
    if first is not None and second not in (None, first):
        raise Invalid(f"'{name}' and '{other}' mean the same and differ; give one of them", param=other)
    return second if first is None else first


def _logit_bias(bias: dict[str, float] | None, limits: RequestLimits) -> tuple[tuple[int, float], ...]:
    if not bias:
        return ()
    if len(bias) > limits.logit_bias:
        raise Invalid(
            f"'logit_bias' has {len(bias)} entries; at most {limits.logit_bias} are accepted", param="logit_bias"
        )
    pairs = []
    for token, value in bias.items():
        if not (token.isascii() and token.isdigit() and len(token) <= 9):
            raise Invalid(f"'logit_bias' has the key {token[:40]!r}; keys are token ids as text", param="logit_bias")
        pairs.append((int(token), value))
    return tuple(pairs)
