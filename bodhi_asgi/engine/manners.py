"""How the threads beside the engine's own work: what each prepares, how long it may take, and what is said when it does
not come to an end.

One compiles what answers are held to, another renders and tokenises long prompts, a third reads images, and a fourth
tokenises texts that are read in batches, which may be thousands.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from bodhi_asgi.engine.errors import ConstraintInvalid, PromptInvalid
from bodhi_asgi.engine.sizes import param_of
from bodhi_asgi.engine.types import PooledWork, TextWork, Work
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.messages.reading import EmbedRequest, TokenizeRequest

COMPILE_S: Final = 2.0
"""For one constraint, from when its turn comes."""

WAIT_S: Final = 10.0
"""For its turn."""

STUCK_S: Final = 10.0
"""After which a compilation is taken to never come back."""

TEXT_S: Final = 10.0
"""For rendering and tokenising one prompt: its size is bounded, and some tokenizers take seconds for what fits."""

TEXT_STUCK_S: Final = 60.0

IMAGES_S: Final = 300.0
"""For the images of one request, and for their turn: a large projector takes a minute for one on few cores."""

STACK_S: Final = 30.0
"""For tokenising all texts of one request, and for their turn: they may be thousands."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What came of one work: a matcher (None: it needs none), or why it is refused. Its deadline counts from now."""

    work: Any
    made: Any = None
    error: BodhiError | None = None


class Written(Prepared):
    """What came of a work whose text was long: its tokens, or the whole answer, or why it is refused."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Manner:
    """How one of these threads works: its name, how long one work may take, and what is said when it takes longer.

    One that ``is_quiet`` tells of no work until that is stuck, because it cannot tell how far it has come either.
    """

    name: str
    note: type[Prepared]
    limit_s: float
    wait_s: float
    stuck_s: float
    is_quiet: bool
    too_slow: Callable[[Any], BodhiError]
    what: str
    done_to: str


def _slow_constraint(work: Work) -> BodhiError:
    request = work.request
    param = request.constraint.param if request.constraint is not None else "tools"
    return ConstraintInvalid(f"'{param}' takes longer than {COMPILE_S:g} s to compile; make it simpler", param=param)


def _slow_images(_: Work | TextWork) -> BodhiError:
    return PromptInvalid(f"the images take longer than {IMAGES_S:g} s to read; send smaller ones", param="messages")


def _slow_text(work: Work | TextWork) -> BodhiError:
    request = work.request
    param = param_of(request.prompt) if isinstance(request, GenerateRequest | TokenizeRequest) else "tokens"
    return PromptInvalid(f"'{param}' takes longer than {TEXT_S:g} s to read; make it shorter", param=param)


def _slow_stack(work: PooledWork) -> BodhiError:
    param = "input" if isinstance(work.request, EmbedRequest) else "documents"
    return PromptInvalid(f"'{param}' takes longer than {STACK_S:g} s to tokenise; send less at once", param=param)


CONSTRAINTS: Final = Manner(
    name="constraints",
    note=Prepared,
    limit_s=COMPILE_S,
    wait_s=WAIT_S,
    stuck_s=STUCK_S,
    is_quiet=False,
    too_slow=_slow_constraint,
    what="the constraint",
    done_to="compiled",
)
TEXTS: Final = Manner(
    name="texts",
    note=Written,
    limit_s=TEXT_S,
    wait_s=WAIT_S,
    stuck_s=TEXT_STUCK_S,
    is_quiet=True,
    too_slow=_slow_text,
    what="the prompt",
    done_to="read",
)
STACKS: Final = Manner(
    name="stacks",
    note=Written,
    limit_s=STACK_S,
    wait_s=STACK_S,
    stuck_s=TEXT_STUCK_S,
    is_quiet=True,
    too_slow=_slow_stack,
    what="the texts",
    done_to="tokenised",
)
IMAGES: Final = Manner(
    name="images",
    note=Written,
    limit_s=IMAGES_S,
    wait_s=IMAGES_S,
    stuck_s=IMAGES_S,
    is_quiet=False,
    too_slow=_slow_images,
    what="the images",
    done_to="read",
)
