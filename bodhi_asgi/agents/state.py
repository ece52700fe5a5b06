"""A run that waits for a person, as plain JSON: the conversation, the calls that wait, what it has used.

Whoever can write this text decides which calls wait and what the model has said. So it is kept where its user cannot
change it, or carried signed. Signed or not, it can be resumed as often as somebody has it: the host lets each ``id``
through once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Final, Literal, Self

from itsdangerous import BadData, URLSafeTimedSerializer
from pydantic import Field

from bodhi_asgi.agents.errors import StateInvalid
from bodhi_asgi.agents.limits import Spent
from bodhi_asgi.agents.plain import dumped
from bodhi_asgi.errors import Invalid
from bodhi_asgi.ids import ULID_PATTERN
from bodhi_asgi.strict_json import load_object
from bodhi_asgi.types import INT64_MAX, JSONObject, Secret
from bodhi_asgi.validation import WireModel, validated

VERSION: Final = 1
MAX_BYTES: Final = 4 * 1024 * 1024
KEY_BYTES: Final = 16

Count = Annotated[int, Field(ge=0, le=INT64_MAX)]


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model asked for; ``arguments`` is the text it wrote."""

    id: str
    name: str
    arguments: str

    @property
    def shape(self) -> JSONObject:
        """The call in a message of the OpenAI shape."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    @property
    def read(self) -> JSONObject:
        """The arguments as plain data; empty when they are no JSON object."""
        try:
            return load_object(self.arguments.encode())
        except (Invalid, UnicodeEncodeError):
            return {}


class FunctionShape(WireModel):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: str


class CallShape(WireModel):
    id: Annotated[str, Field(min_length=1, max_length=128)]
    type: Literal["function"]
    function: FunctionShape


class SpentShape(WireModel):
    turns: Count
    tool_calls: Count
    prompt_tokens: Count
    completion_tokens: Count
    time_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class StateShape(WireModel):
    """The JSON form of a state, version 1."""

    version: Literal[1]
    id: Annotated[str, Field(pattern=f"^{ULID_PATTERN.pattern}$")]
    messages: list[dict[str, Any]]
    text: str
    reasoning: str
    calls: Annotated[list[CallShape], Field(min_length=1, max_length=1024)]
    results: dict[str, str]
    spent: SpentShape


@dataclass(frozen=True, slots=True)
class AgentState:
    """A paused run. ``id`` is new at each pause.

    ``messages`` end before the turn that is not complete; ``text``, ``reasoning`` and ``calls`` are that turn,
    ``results`` those of its calls that are done, by their ids.
    """

    id: str
    messages: Sequence[JSONObject]
    text: str
    reasoning: str
    calls: tuple[Call, ...]
    results: dict[str, str]
    spent: Spent

    @property
    def pending(self) -> tuple[Call, ...]:
        """The calls that wait for a decision."""
        return tuple(call for call in self.calls if call.id not in self.results)

    def to_json(self) -> str:
        """Plain JSON text, to be kept where the user cannot change it: a session on the server, a database."""
        return dumped(
            {
                "version": VERSION,
                "id": self.id,
                "messages": list(self.messages),
                "text": self.text,
                "reasoning": self.reasoning,
                "calls": [call.shape for call in self.calls],
                "results": self.results,
                "spent": asdict(self.spent),
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """The state in ``text``, trusted as :meth:`to_json` says. Raises StateInvalid."""
        body = text.encode(errors="replace") if isinstance(text, str) else text
        if len(body) > MAX_BYTES:
            raise StateInvalid(f"the state has {len(body)} bytes; at most {MAX_BYTES} are accepted")
        try:
            shape = validated(StateShape, load_object(body))
        except Invalid as error:
            raise StateInvalid(f"this is not the state of a paused run: {error.message}", param=error.param) from None
        calls = tuple(Call(one.id, one.function.name, one.function.arguments) for one in shape.calls)
        ids = {call.id for call in calls}
        if len(ids) != len(calls) or not ids.issuperset(shape.results):
            raise StateInvalid("this is not the state of a paused run: its calls and results do not fit", param="calls")
        spent = Spent(**shape.spent.model_dump())
        return cls(shape.id, tuple(shape.messages), shape.text, shape.reasoning, calls, shape.results, spent)

    def signed(self, key: Secret | str, *, owner: str) -> str:
        """Text that a client may carry: it can read it and not change it, and it is good for ``owner`` only.

        ``owner`` is whoever may resume, such as the user's id; ``key`` is at least 16 bytes that only the host knows.
        """
        return _signer(key, owner).dumps(self.to_json())

    @classmethod
    def from_signed(cls, text: str, key: Secret | str, *, owner: str, max_age_s: int) -> Self:
        """What :meth:`signed` made with this key and owner. Raises StateInvalid, after ``max_age_s`` seconds too."""
        if len(text) > 2 * MAX_BYTES:
            raise StateInvalid(f"the signed state has {len(text)} characters; at most {2 * MAX_BYTES} are accepted")
        try:
            inner = _signer(key, owner).loads(text, max_age=max_age_s)
        except BadData:
            raise StateInvalid("the signature of this state does not hold for this user, or it is too old") from None
        return cls.from_json(inner)


def _signer(key: Secret | str, owner: str) -> URLSafeTimedSerializer:
    secret = key.reveal() if isinstance(key, Secret) else key
    if len(secret.encode()) < KEY_BYTES:
        raise Invalid(f"the key has fewer than {KEY_BYTES} bytes", param="key")
    if not owner:
        raise Invalid("a signed state belongs to somebody; owner is empty", param="owner")
    return URLSafeTimedSerializer(secret, salt=f"bodhi-agent-state-{VERSION}:{owner}")
