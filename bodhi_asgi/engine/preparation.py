"""What lies between a request and its place in line: its answer's form compiled, its prompt read, its images seen.

A short prompt is read at once. What takes so long that running streams would wait is done in workshops, and comes back
as a note; meanwhile a request is awaited here, where it can be cancelled and can be too late.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bodhi_asgi.engine import texts
from bodhi_asgi.engine.errors import CapabilityMissing, ContextLengthExceeded, PromptInvalid, WorkCancelled
from bodhi_asgi.engine.manners import CONSTRAINTS, IMAGES, STACKS, TEXTS, Prepared, Written
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.sizes import check_size, is_long, param_of
from bodhi_asgi.engine.stack import Stack, check_fits
from bodhi_asgi.engine.types import Chunk, Job, ModelFacts, ModelSpec, PooledWork, TextWork, Work
from bodhi_asgi.engine.workshop import J, Workshop
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.reading import DetokenizeRequest

if TYPE_CHECKING:
    from bodhi_asgi.engine.constraints.matcher import Matcher


class Preparation:
    """Of one engine loop. All methods belong to its thread, but for ``is_busy``, ``is_stuck`` and ``progress``.

    ``facts`` are asked for once the model is loaded. ``done`` is called in a workshop's thread, and hands what it is
    given to :meth:`welcome`. ``admit`` gives a request its place in line, ``enter`` one whose texts are read in
    batches; ``send`` delivers chunks.
    """

    def __init__(
        self,
        runner: Runner,
        spec: ModelSpec,
        *,
        facts: Callable[[], ModelFacts],
        done: Callable[[Prepared], None],
        admit: Callable[[Work, list[int], "Matcher | None"], None],
        enter: Callable[[Stack], None],
        send: Callable[[list[Chunk]], None],
    ) -> None:
        self._runner = runner
        self._facts = facts
        self._admit = admit
        self._enter = enter
        self._send = send
        self._compiler: Workshop[Work] = Workshop(
            spec,
            CONSTRAINTS,
            prepare=runner.prepare_guides,
            make=lambda work: runner.guide(work.request),
            done=done,
        )
        self._scribe: Workshop[Work | TextWork] = Workshop(
            spec, TEXTS, prepare=lambda: None, make=self._written, done=done
        )
        self._gallery: Workshop[Work | TextWork] = Workshop(
            spec, IMAGES, prepare=lambda: None, make=self._written, done=done
        )
        self._stacker: Workshop[PooledWork] = Workshop(
            spec, STACKS, prepare=lambda: None, make=lambda work: self._stacked(Stack(work)), done=done
        )
        self._workshops = (self._compiler, self._scribe, self._gallery, self._stacker)
        self._awaited: dict[str, Matcher | None] = {}  # given to one of these, and neither back nor given up

    @property
    def is_busy(self) -> bool:
        """Whether something is being prepared, so that progress is to be expected."""
        return any(each.is_busy for each in self._workshops)

    @property
    def progress(self) -> int:
        """Grows with what is begun and finished."""
        return sum(each.progress for each in self._workshops)

    def is_stuck(self, now_s: float) -> bool:
        """Whether one piece of work has gone on for so long that it will hardly end."""
        return any(each.is_stuck(now_s) for each in self._workshops)

    @property
    def next_deadline_s(self) -> float | None:
        """When :meth:`expire` next has something to do, by ``time.monotonic``."""
        deadlines_s = (each.next_deadline_s for each in self._workshops)
        return min((deadline_s for deadline_s in deadlines_s if deadline_s is not None), default=None)

    def receive(self, work: Work) -> None:
        """Begin with a request that wants an answer: it is admitted now, or when it is prepared.

        Raises CapabilityMissing, ContextLengthExceeded, PromptInvalid, EngineBusy.
        """
        facts = self._facts()
        if not facts.generates:
            raise CapabilityMissing("this model reads and does not speak; choose a chat model", param="model")
        # Before anything is made of a conversation: a constraint has it rendered to see where the answer begins.
        check_size(work.request.prompt, work.request.max_tokens, facts.n_ctx)
        if work.request.is_guided:
            self._await(self._compiler, work)
        else:
            self._read(work, None)

    def answer(self, job: TextWork) -> None:
        """Answer what asks for tokens or texts only, now or when it is read. Raises EngineBusy, PromptInvalid."""
        if texts.is_long(job):
            self._await(self._reader_of(job), job)
        else:
            self._send(texts.answer(job, self._runner.vocabulary, self._facts()))

    def pool(self, stack: Stack) -> None:
        """Have texts that are read in batches stand in line, now or when they are tokenised.

        Raises what is wrong with them, and EngineBusy.
        """
        check_fits(stack.work.request, self._facts())
        if stack.is_long:
            self._await(self._stacker, stack.work)
        else:
            while not stack.is_read:
                stack.read(self._runner.vocabulary, self._facts().longest_text)
            self._enter(stack)

    def awaits(self, work_id: str) -> bool:
        """Whether the request is on its way: one that was cancelled is not any more."""
        return work_id in self._awaited

    def welcome(self, prepared: Prepared) -> None:
        """Go on with what was prepared. Raises what :meth:`receive` does."""
        if prepared.error is not None:
            self._send([self._refused(prepared)])
            return
        work, matcher = prepared.work, self._awaited.pop(prepared.work.id)
        if not isinstance(prepared, Written):
            self._read(work, prepared.made)
        elif isinstance(work, Work):
            self._admit(work, prepared.made, matcher)
        elif isinstance(work, PooledWork):
            prepared.made.work = work  # with what is left of its time
            self._enter(prepared.made)
        else:
            self._send(prepared.made)

    def give_up(self, work_id: str) -> bool:
        """Forget a request. False when it is not here."""
        if work_id not in self._awaited:
            return False
        del self._awaited[work_id]
        for each in self._workshops:
            each.give_up(work_id)
        self._runner.look_away(work_id)
        return True

    def expire(self, now_s: float) -> None:
        """Refuse what has taken too long, or has waited too long behind that, or has passed its own deadline."""
        if not self._awaited:
            return
        for late in [late for each in self._workshops for late in each.expire(now_s)]:
            self._runner.look_away(late.work.id)
            self._send([self._refused(late)])

    def close(self, timeout_s: float | None) -> tuple[list[Job], bool]:
        """End the threads; returns the works that are left, and whether each has ended within ``timeout_s``.

        Idempotent; None waits as long as it takes.
        """
        self._runner.look_away(None)
        closed = [each.close(timeout_s) for each in self._workshops]
        return [work for given, _ in closed for work in given], all(has_ended for _, has_ended in closed)

    def _await(self, workshop: Workshop[J], work: J, matcher: "Matcher | None" = None) -> None:
        """Have a work prepared in a thread of its own; it comes back as a note."""
        self._awaited[work.id] = matcher  # first, because the thread looks whether it still is
        try:
            workshop.submit(work)
        except BodhiError:
            del self._awaited[work.id]
            raise

    def _refused(self, prepared: Prepared) -> Chunk:
        self._awaited.pop(prepared.work.id, None)
        return Chunk(prepared.work.id, error=prepared.error)

    def _read(self, work: Work, matcher: "Matcher | None") -> None:
        """Admit a request, or have its prompt read first where that takes so long that running streams would wait."""
        if is_long(work.request.prompt):
            self._await(self._reader_of(work), work, matcher)
        else:
            self._admit(work, self._tokens(work), matcher)

    def _reader_of(self, work: Work | TextWork) -> "Workshop[Work | TextWork]":
        """Images take longer than any text, and a text does not wait for them."""
        prompt = None if isinstance(work.request, DetokenizeRequest) else work.request.prompt
        return self._gallery if isinstance(prompt, ChatPrompt) and prompt.images else self._scribe

    def _written(self, work: Work | TextWork) -> list[int] | list[Chunk]:
        """What a long text is in tokens. Called in the thread that reads texts."""
        if isinstance(work, Work):
            tokens = self._tokens(work)
            self._runner.look(work.id, work.request)
            return tokens
        return texts.answer(work, self._runner.vocabulary, self._facts())

    def _stacked(self, stack: Stack) -> Stack:
        """All texts of a request, tokenised. Called in the thread for that; what nobody awaits any more is left."""
        while not stack.is_read:
            if not self.awaits(stack.work.id):
                raise WorkCancelled("the request was cancelled")
            stack.read(self._runner.vocabulary, self._facts().longest_text)
        return stack

    def _tokens(self, work: Work) -> list[int]:
        """The prompt's tokens. Raises PromptInvalid, ContextLengthExceeded."""
        prompt, n_ctx = work.request.prompt, self._facts().n_ctx
        tokens = self._runner.vocabulary.encode(prompt)
        if len(tokens) >= n_ctx:
            raise ContextLengthExceeded(
                f"the prompt has {len(tokens)} tokens, and the context holds {n_ctx} with the answer",
                param=param_of(prompt),
                prompt_tokens=len(tokens),
                n_ctx=n_ctx,
            )
        if not tokens:
            raise PromptInvalid("the prompt has no tokens", param=param_of(prompt))
        return tokens
