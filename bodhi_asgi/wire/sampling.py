"""How tokens are chosen and when they end, as the fields that every dialect for local models shares.

Names are OpenAI's where it has one, else those of llama.cpp's server, with vLLM's as a second name where it differs.
Ranges stand in the fields, so that the OpenAPI document shows what is enforced.
"""

from typing import Annotated, TypeAlias

from pydantic import Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages import Sampling
from bodhi_asgi.types import INT64_MAX
from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.limits import RequestLimits

KEY_OF_BIAS = "^[0-9]{1,9}$"
"""A token's id as the key of an object, which JSON has as text."""

StopString: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 64})]
"""The limit counts bytes, and is a setting; 64 characters are within the usual one."""


class SamplingOptions(WireModel):
    """Options of a request that choose tokens and end answers."""

    stop: StopString | list[StopString] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    typical_p: Annotated[float, Field(gt=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    penalty_last_n: Annotated[int, Field(ge=-1, le=1_000_000), WHOLE] | None = None
    seed: Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX), WHOLE] | None = None
    logit_bias: Annotated[
        dict[str, Annotated[float, Field(ge=-100, le=100)]] | None,
        Field(json_schema_extra={"propertyNames": {"pattern": KEY_OF_BIAS}}),
    ] = None


def sampling_of(wire: SamplingOptions, limits: RequestLimits) -> Sampling:
    """The neutral value. Raises Invalid for what goes beyond the limits."""
    return Sampling(
        temperature=wire.temperature,
        top_p=wire.top_p,
        top_k=wire.top_k,
        min_p=wire.min_p,
        typical_p=wire.typical_p,
        repeat_penalty=wire.repeat_penalty,
        frequency_penalty=wire.frequency_penalty,
        presence_penalty=wire.presence_penalty,
        penalty_last_n=wire.penalty_last_n,
        seed=wire.seed,
        logit_bias=_logit_bias(wire.logit_bias, limits),
    )


def stop_of(wire: SamplingOptions, limits: RequestLimits) -> tuple[str, ...]:
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
