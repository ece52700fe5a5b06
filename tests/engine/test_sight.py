"""Images with a width and a height among tokens (M-RoPE): what llama.cpp's own helper says of them is what we say."""

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import pytest

from bodhi_asgi.engine.plan import Clear, Row, StepOutcome, StepPlan
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.types import Engine, ModelSpec, Speculation, Tuning, Work
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, Image, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest
from tests.engine.mtmd_reference import Helper, Told
from tests.engine.projector_files import png
from tests.engine.sighted_files import Kind, scene, write_sighted_model, write_sighted_projector
from tests.engine.support import GREEDY, LLAMA, becomes_idle, deltas_of, numbers, text_of, work
from tests.engine.test_adapters import running
from tests.engine.test_logprobs import scored

MOST = 16
KINDS: tuple[Kind, ...] = get_args(Kind)


def seen(width: int, height: int, seed: int) -> Image:
    return Image(base64.b64encode(png(scene(width, height, seed))).decode())


WIDE, TALL, LARGE = seen(56, 24, 1), seen(24, 48, 2), seen(96, 80, 3)

ASKED: dict[str, tuple[str, tuple[Image, ...]]] = {
    "text before and after": (f"Repeat after me: {IMAGE_MARK}, please", (WIDE,)),
    "nothing before": (f"{IMAGE_MARK} What is this?", (TALL,)),
    "two": (f"Which is larger, {IMAGE_MARK} or {IMAGE_MARK}?", (TALL, WIDE)),
    "one twice, side by side": (f"Look: {IMAGE_MARK}{IMAGE_MARK} Are they the same?", (WIDE, WIDE)),
    "three, one of them large": (f"One {IMAGE_MARK} two {IMAGE_MARK} three {IMAGE_MARK} go", (LARGE, TALL, WIDE)),
}


def ask(name: str, *, suffix: str = "", owner: str = "", **options: object) -> Work:
    text, images = ASKED[name]
    prompt = ChatPrompt((Message(Role.USER, text + suffix),), images=images)
    request = GenerateRequest("m", prompt, GREEDY, **{"max_tokens": MOST, "logprobs": 1, **options})  # type: ignore[arg-type]
    return Work(f"s{next(numbers)}", request, owner)


def rendered(name: str) -> str:
    """As the demo model's template has it."""
    return f"<|im_start|>user\n{ASKED[name][0]}<|im_end|>\n<|im_start|>assistant\n"


@dataclass(frozen=True)
class Files:
    model: Path
    projector: Path

    @property
    def spec(self) -> ModelSpec:
        exact = Tuning(cache_type_k="f32", cache_type_v="f32", flash_attention="off")
        return replace(LLAMA, path=str(self.model), projector=str(self.projector), n_ctx=1024, slots=6, tuning=exact)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sight")


def files(folder: Path, kind: Kind) -> Files:
    made = Files(folder / f"{kind}.gguf", folder / f"{kind}-projector.gguf")
    if not made.model.exists():
        write_sighted_model(made.model, kind)
        write_sighted_projector(made.projector, kind)
    return made


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[tuple[Kind, str], Told]:
    """What the helper says to each of the questions."""
    found: dict[tuple[Kind, str], Told] = {}
    for kind in KINDS:
        made = files(folder, kind)
        helper = Helper(made.model, made.projector)
        for name, (_, images) in ASKED.items():
            found[kind, name] = helper.tell(rendered(name), images, most=MOST)
        helper.close()
    return found


async def said(engine: Engine, asked: Work) -> tuple[list[int], list[float], int]:
    deltas = await deltas_of(engine, asked)
    tokens = scored(deltas)
    usage = deltas[-1].usage
    assert usage is not None
    return [one.token for one in tokens], [one.logprob or 0.0 for one in tokens], usage.prompt_tokens


def same(found: tuple[list[int], list[float], int], wanted: Told) -> None:
    assert found[0] == wanted.tokens
    assert found[1] == pytest.approx(wanted.logprobs, abs=1e-3)
    assert found[2] == wanted.prompt_tokens


@pytest.mark.parametrize(
    ("kind", "place"),
    [*((kind, "thread") for kind in KINDS), ("qwen2vl", "process")],
)
async def test_an_answer_is_that_of_llama_cpps_own_helper_token_for_token(
    folder: Path, told: dict[tuple[Kind, str], Told], kind: Kind, place: str
) -> None:
    async with running(place, files(folder, kind).spec) as engine:
        for name in ASKED:
            same(await said(engine, ask(name)), told[kind, name])
        await becomes_idle(engine)


@pytest.fixture
async def engine(folder: Path) -> AsyncIterator[Engine]:
    async with running("thread", files(folder, "qwen2vl").spec) as engine:
        yield engine
        await becomes_idle(engine)


Answers = dict[tuple[Kind, str], Told]


async def test_together_all_say_what_each_says_alone(engine: Engine, told: Answers) -> None:
    others = [asyncio.create_task(text_of(engine, work("Count to fifty", max_tokens=40, owner="b"))) for _ in range(2)]
    found = await asyncio.gather(*(said(engine, ask(name, owner=name)) for name in ASKED))
    for name, answer in zip(ASKED, found, strict=True):
        same(answer, told["qwen2vl", name])
    assert len(set(await asyncio.gather(*others))) == 1


async def test_what_is_kept_of_images_changes_no_answer(engine: Engine, told: Answers) -> None:
    """The same prompt again, and one that parts from it behind the images."""
    for name in ASKED:
        fresh = await deltas_of(engine, ask(name, suffix=" or not", owner="fresh"))
        for _ in range(2):
            same(await said(engine, ask(name)), told["qwen2vl", name])
        again = await deltas_of(engine, ask(name, suffix=" or not"))
        assert [one.text for one in again] == [one.text for one in fresh]
        usage, first = again[-1].usage, fresh[-1].usage
        assert usage is not None
        assert first is not None
        assert usage.cached_tokens > 16
        assert first.cached_tokens == 0


async def test_a_conversation_goes_on_behind_its_images_without_computing_them_again(engine: Engine) -> None:
    turns = [Message(Role.USER, f"Repeat after me: {IMAGE_MARK}, please")]
    images: tuple[Image, ...] = (WIDE,)
    before = 0
    for turn, more in enumerate((TALL, LARGE)):
        prompt = ChatPrompt(tuple(turns), images=images)
        deltas = await deltas_of(engine, Work(f"c{turn}", GenerateRequest("m", prompt, GREEDY, max_tokens=8)))
        alone = GenerateRequest("m", prompt, GREEDY, max_tokens=8)
        assert await text_of(engine, Work(f"d{turn}", alone, "another")) == "".join(one.text for one in deltas)
        usage = deltas[-1].usage
        assert usage is not None
        assert usage.cached_tokens >= before
        before = usage.prompt_tokens
        turns += [
            Message(Role.ASSISTANT, "".join(one.text for one in deltas)),
            Message(Role.USER, f"And {IMAGE_MARK}?"),
        ]
        images += (more,)


@pytest.mark.parametrize("n_batch", [32, 50])
async def test_an_image_that_is_read_in_many_steps_is_the_same(folder: Path, told: Answers, n_batch: int) -> None:
    async with running("thread", replace(files(folder, "qwen2vl").spec, n_batch=n_batch)) as engine:
        others = [asyncio.create_task(text_of(engine, work("Count to fifty", max_tokens=60))) for _ in range(2)]
        found = await asyncio.gather(*(said(engine, ask(name, owner=name)) for name in ASKED))
        await asyncio.gather(*others)
        await becomes_idle(engine)
    for name, answer in zip(ASKED, found, strict=True):
        same(answer, told["qwen2vl", name])


async def test_who_gives_way_in_the_middle_of_an_image_says_the_same_when_he_is_back(
    folder: Path, told: Answers
) -> None:
    spec = replace(files(folder, "qwen2vl").spec, n_ctx=512, slots=6, n_batch=32)
    async with running("thread", spec) as engine:
        others = [work("Count to fifty", max_tokens=100, owner=f"o{index}") for index in range(3)]
        counting = [asyncio.create_task(text_of(engine, one)) for one in others]
        found = await asyncio.gather(*(said(engine, ask(name, owner=name)) for name in ASKED for _ in range(2)))
        await asyncio.gather(*counting)
        await becomes_idle(engine)
    for index, name in enumerate(ASKED):
        same(found[2 * index], told["qwen2vl", name])
        same(found[2 * index + 1], told["qwen2vl", name])


@pytest.mark.parametrize("kind", ["lookup", "model"])
async def test_guesses_behind_an_image_change_no_answer(folder: Path, told: Answers, kind: str) -> None:
    made = files(folder, "qwen2vl")
    speculation = Speculation(kind, 6, str(made.model) if kind == "model" else "")  # type: ignore[arg-type]
    async with running("thread", replace(made.spec, speculation=speculation)) as engine:
        for name in ASKED:
            same(await said(engine, ask(name)), told["qwen2vl", name])
        await becomes_idle(engine)


def test_a_step_that_is_given_up_within_an_image_takes_all_of_its_sequence_back(folder: Path) -> None:
    runner = LlamaRunner(files(folder, "qwen2vl").spec)
    runner.load(lambda _: True)
    try:
        asked = ask("text before and after")
        tokens = tuple(runner.vocabulary.encode(asked.request.prompt))
        begin = next(index for index, token in enumerate(tokens) if token < 0)
        first, rest = (
            Row(0, 0, 0, tokens[: begin + 5], wants_token=False),
            Row(0, 0, begin + 5, tokens[begin + 5 :], wants_token=True),
        )
        runner.begin(0, asked.request, tokens)
        assert runner.run(StepPlan((first,))).outcome is StepOutcome.DONE
        runner.interrupt()
        given_up = runner.run(StepPlan((rest,)))
        assert (given_up.outcome, given_up.lost) == (StepOutcome.ABORTED, {0})
        runner.run(StepPlan((first,)))
        after = runner.run(StepPlan((rest,))).drawn[0]
        # Given up in the text before the image, it only goes back to where it began.
        runner.run(StepPlan((), (Clear(0, 4),)))
        whole = Row(0, 0, 4, tokens[4:], wants_token=True)
        runner.interrupt()
        again = runner.run(StepPlan((whole,)))
        assert (again.outcome, again.lost) == (StepOutcome.ABORTED, frozenset())
        assert runner.run(StepPlan((whole,))).drawn[0].token == after.token
    finally:
        runner.unload()
