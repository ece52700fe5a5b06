"""What an alias says where a request says nothing: read from its parameters once, and filled in field by field."""

from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Final

from pydantic import Field

from bodhi_asgi.messages.conversation import ChatPrompt, Message, Prompt, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from bodhi_asgi.messages.reading import EmbedRequest, RerankRequest, TokenizeRequest
from bodhi_asgi.types import INT64_MAX, JSONObject
from bodhi_asgi.validation import WHOLE
from bodhi_asgi.wire.images import without_marks
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.sampling import NARROWING, SamplingOptions, endings_of, sampling_of

MAX_SYSTEM_PROMPT: Final = 65_536
STORED: Final = RequestLimits(stop_strings=1024, stop_bytes=65_536, logit_bias=1_000_000)
"""What was accepted once is read again, also when the limits have become narrower since."""

MIROSTAT: Final = frozenset({"mirostat", "mirostat_tau", "mirostat_eta"})
DYNAMIC: Final = frozenset({"dynatemp_range", "dynatemp_exponent"})
UNSAID: Final = Sampling()


class RequestParams(SamplingOptions):
    """Parameters of a request that an alias has in store. ``null`` counts as absent; ``user`` is kept and not used."""

    max_tokens: Annotated[
        Annotated[int, Field(ge=1, le=INT64_MAX), WHOLE] | None, Field(description="The most tokens of an answer.")
    ] = None
    user: Annotated[Annotated[str, Field(max_length=512)] | None, Field(description="Taken and not used.")] = None
    system_prompt: Annotated[
        Annotated[str, Field(max_length=MAX_SYSTEM_PROMPT)] | None,
        Field(description="Begins conversations that have none."),
    ] = None

    def stored(self) -> JSONObject:
        """What was said, as JSON; what was not said is left out."""
        said: JSONObject = self.model_dump(exclude_none=True)
        if isinstance(self.stop, str):
            said["stop"] = [self.stop]
        return said


@dataclass(frozen=True, slots=True)
class Defaults:
    """What fills the fields that a request leaves open. The fields are those of a GenerateRequest."""

    sampling: Sampling = UNSAID
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    system_prompt: str = ""
    keep_alive_s: float | None = None

    def generation(self, request: GenerateRequest) -> GenerateRequest:
        """The request as the model is asked it."""
        if self == NONE:
            return replace(request, assumed=()) if request.assumed else request
        max_tokens = request.max_tokens
        if self.max_tokens is not None and (max_tokens is None or "max_tokens" in request.assumed):
            max_tokens = max(self.max_tokens, request.min_tokens)
        min_tokens = request.min_tokens or self.min_tokens
        return replace(
            request,
            prompt=self._prompt(request.prompt),
            sampling=_sampling(request.sampling, self.sampling),
            max_tokens=max_tokens,
            stop=request.stop or self.stop,
            stop_tokens=request.stop_tokens or self.stop_tokens,
            min_tokens=min_tokens if max_tokens is None else min(min_tokens, max_tokens),
            ignore_eos=request.ignore_eos or self.ignore_eos,
            keep_alive_s=self.keep_alive_s if request.keep_alive_s is None else request.keep_alive_s,
            assumed=(),
        )

    def tokens(self, request: TokenizeRequest) -> TokenizeRequest:
        """A question for a prompt's tokens, the prompt as the model would be given it."""
        return replace(request, prompt=self._prompt(request.prompt)) if self.system_prompt else request

    def pooled(self, request: EmbedRequest | RerankRequest) -> EmbedRequest | RerankRequest:
        """A question for vectors or ranks, of which only the time the model stays can be open."""
        if self.keep_alive_s is None or request.keep_alive_s is not None:
            return request
        return replace(request, keep_alive_s=self.keep_alive_s)

    def _prompt(self, prompt: Prompt) -> Prompt:
        """A conversation that has no instruction of its own begins with the alias's."""
        if not self.system_prompt or not isinstance(prompt, ChatPrompt):
            return prompt
        if prompt.messages and prompt.messages[0].role is Role.SYSTEM:
            return prompt
        return replace(prompt, messages=(Message(Role.SYSTEM, self.system_prompt), *prompt.messages))


NONE: Final = Defaults()


def defaults_of(params: RequestParams, limits: RequestLimits, keep_alive_s: float | None = None) -> Defaults:
    """Parameters as they fill requests. Raises Invalid for what is too much, and for what excludes each other."""
    return Defaults(
        sampling=sampling_of(params, limits),
        system_prompt=without_marks(params.system_prompt or ""),
        keep_alive_s=keep_alive_s,
        **endings_of(params, limits, params.max_tokens),
    )


def _sampling(asked: Sampling, own: Sampling) -> Sampling:
    """What was asked, and where nothing was, the alias's own, unless it contradicts what was asked."""
    left_out: set[str] = set()
    if asked.mirostat:
        left_out |= NARROWING.keys()
    if asked.mirostat or asked.dynatemp_range:
        left_out |= {"temperature"} if own.temperature == 0 else set()
    if asked.temperature == 0:
        left_out |= MIROSTAT | DYNAMIC
    if any(getattr(asked, name) not in (None, nothing) for name, nothing in NARROWING.items()):
        left_out |= MIROSTAT
    filled: dict[str, Any] = {}
    for field in fields(Sampling):
        name = field.name
        if name not in left_out and getattr(asked, name) == field.default:
            filled[name] = getattr(own, name)
    return replace(asked, **filled)
