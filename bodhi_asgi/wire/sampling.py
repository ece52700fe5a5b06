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

    stop: StopString | Annotated[list[StopString], Field(fail_fast=True)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    penalty_last_n: Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None = None
    repeat_last_n: Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX), WHOLE] | None = None
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
        Field(json_schema_extra={"propertyNames": {"pattern": KEY_OF_BIAS}}),
    ] = None
    mirostat: Annotated[int, Field(ge=0, le=2), WHOLE] | None = None
    mirostat_tau: Annotated[float, Field(ge=0, le=100)] | None = None
    mirostat_eta: Annotated[float, Field(ge=0, le=10)] | None = None
    dry_multiplier: Annotated[float, Field(ge=0, le=100)] | None = None
    dry_base: Annotated[float, Field(ge=1, le=100)] | None = None
    dry_allowed_length: Annotated[int, Field(ge=1, le=1000), WHOLE] | None = None
    dry_penalty_last_n: Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None = None
    dry_sequence_breakers: Annotated[list[SequenceBreaker], Field(max_length=16, fail_fast=True)] | None = None
    xtc_probability: Annotated[float, Field(ge=0, le=1)] | None = None
    xtc_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    top_n_sigma: Annotated[float, Field(ge=-1, le=100)] | None = None
    dynatemp_range: Annotated[float, Field(ge=0, le=2)] | None = None
    dynatemp_exponent: Annotated[float, Field(ge=0, le=100)] | None = None
    min_tokens: Annotated[int, Field(ge=0, le=INT64_MAX), WHOLE] | None = None
    ignore_eos: bool | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=64, fail_fast=True)] | None = None


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
