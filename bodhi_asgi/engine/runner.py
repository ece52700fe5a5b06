"""What computes tokens, as the engine sees it: a vocabulary, and a machine that carries out plans.

Everything here is called from the engine's own thread, except :meth:`Runner.interrupt`, what makes matchers, and what
reads long texts and images ahead.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from bodhi_asgi.engine.drafts import Drafter
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.plan import StepPlan, StepResult
from bodhi_asgi.engine.pooled_plan import PooledPlan, PooledResult
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.messages.conversation import ChatPrompt, Prompt
from bodhi_asgi.messages.generation import GenerateRequest

if TYPE_CHECKING:
    from bodhi_asgi.engine.constraints.matcher import Matcher


class Vocabulary(Protocol):
    """Between text and tokens."""

    def encode(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, rendered by the model's chat template. Raises PromptInvalid."""
        ...

    def __len__(self) -> int:
        """How many tokens there are."""
        ...

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        """Bare text as tokens; with the tokens that begin and end a text, and with control tokens by their names."""
        ...

    def pair(self, query: str, document: str) -> list[int]:
        """A query and a document as a model that ranks reads them together."""
        ...

    def render(self, prompt: ChatPrompt) -> str:
        """The conversation as the text that is tokenised. Raises PromptInvalid."""
        ...

    def spelled(self, token: int) -> bytes:
        """A token's text in UTF-8, control tokens by their names."""
        ...

    def piece(self, token: int) -> bytes:
        """A token's text in UTF-8, possibly a part of a character."""
        ...

    @property
    def family(self) -> Family:
        """How the model writes thoughts and calls."""
        ...

    def opening(self, tokens: Sequence[int]) -> str:
        """What the end of a rendered conversation says of the answer already, as where it opens the thinking."""
        ...

    def ends(self, token: int) -> bool:
        """Whether the token ends the model's turn."""
        ...


class Runner(Protocol):
    """A loaded model."""

    @property
    def progress(self) -> int:
        """Grows while a step is computed, where the library behind it says so. Read from any thread."""
        ...

    @property
    def vocabulary(self) -> Vocabulary: ...

    def load(self, advance: Callable[[float], bool]) -> ModelFacts:
        """Load the model, telling ``advance`` how much is done, from 0 to 1, and giving up when it says no.

        Raises ModelLoadFailed with the reason.
        """
        ...

    def prepare_guides(self) -> None:
        """Make what all constraints of this model need: seconds, once. Called from a thread beside the engine's."""
        ...

    def guide(self, request: GenerateRequest) -> "Matcher | None":
        """Compile what the answer is held to. Called from that same thread. Raises ConstraintInvalid."""
        ...

    def look(self, work_id: str, request: GenerateRequest) -> None:
        """Encode the request's images ahead of its turn. Called from a thread beside the engine's. Raises Invalid, and
        WorkCancelled once nobody wants it any more.
        """
        ...

    def look_away(self, work_id: str | None) -> None:
        """Encode no more for this request, or (None) for anybody. Thread-safe."""
        ...

    def begin(
        self, sampler: int, request: GenerateRequest, prompt: Sequence[int] = (), matcher: "Matcher | None" = None
    ) -> None:
        """Make what draws the tokens of one sequence, under this number; ``prompt`` are the tokens before the first.

        Raises Invalid for options the model cannot honour.
        """
        ...

    def end(self, sampler: int) -> None:
        """Free the sampler."""
        ...

    def run(self, plan: StepPlan) -> StepResult:
        """Carry out a plan. An exception means that the runner is broken for good."""
        ...

    def pool(self, plan: PooledPlan) -> PooledResult:
        """Carry out a plan of texts in batches. An exception means that the runner is broken for good."""
        ...

    def drafter(self) -> Drafter | None:
        """What guesses the next tokens of sequences, if the model is set to have that."""
        ...

    def interrupt(self) -> None:
        """Stop the step that is being computed or about to be, if it can be stopped. Called from any thread."""
        ...

    def unload(self) -> None:
        """Release everything. Idempotent."""
        ...


def make_runner(spec: ModelSpec) -> Runner:
    """The runner that ``spec`` names. Raises MissingDependency when it needs an extra that is not installed."""
    if spec.runner == "llama":
        try:
            from bodhi_asgi.engine.runners.llama import LlamaRunner
        except ImportError as error:
            raise MissingDependency("local inference", "llama") from error
        return LlamaRunner(spec)
    if spec.runner == "poison":
        from bodhi_asgi.engine.runners.poison import PoisonRunner

        return PoisonRunner(spec)
    from bodhi_asgi.engine.runners.echo import EchoRunner

    return EchoRunner(spec)
