"""Images among tokens: counted, cut and computed like text, named by the model, refused where they cannot be read."""

import asyncio
import base64
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llama_cpp import mtmd_cpp

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    ImagesUnsupported,
    ImageUnreadable,
    ModelLoadFailed,
    PromptInvalid,
    WorkCancelled,
)
from bodhi_asgi.engine.images import MOST_PLACES, Place, fitting, place_of, places, seam, segments
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.plan import Row
from bodhi_asgi.engine.runners import llama_images
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.runners.llama_pictures import Part
from bodhi_asgi.engine.runners.llama_positions import Positions, Solid, cuts
from bodhi_asgi.engine.runners.llama_projector import Projector
from bodhi_asgi.engine.types import AdapterSpec, Chunk, Engine, ModelSpec, Work
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, Image, Message, Role
from bodhi_asgi.messages.generation import AdapterChoice, GenerateRequest
from tests.engine.adapter_files import write_confusion, write_swap, write_untied
from tests.engine.gguf_files import rewrite
from tests.engine.projector_files import COLOURS, SHAPES, picture, png, write_projector
from tests.engine.support import ECHO, GREEDY, LLAMA, becomes_idle, numbers, text_of, work
from tests.engine.test_adapters import running

NAMES = [f"{colour} {shape}" for colour, shape in itertools.product(COLOURS, SHAPES)]


def seen(name: str, *, size: int = 64, seed: int = 7) -> Image:
    """A picture of ``name``, such as ``red ball``."""
    colour, _, shape = name.partition(" ")
    return Image(base64.b64encode(png(picture(colour, shape, size, seed))).decode())


def show(*images: Image, text: str = f"Repeat after me: {IMAGE_MARK}", **options: Any) -> Work:
    prompt = ChatPrompt((Message(Role.USER, text),), images=images)
    return Work(f"i{next(numbers)}", GenerateRequest("m", prompt, GREEDY, **options))


# -- numbers for places


@given(st.integers(0, 2**128 - 1), st.integers(0, 4095), st.integers(1, 50), st.booleans(), st.booleans())
def test_a_place_says_of_which_picture_and_part_it_is(
    number: int, part: int, count: int, is_whole: bool, is_solid: bool
) -> None:
    tokens = places(number, part, count, is_whole=is_whole, is_solid=is_solid)
    assert all(token < 0 for token in tokens)
    wanted = [Place(number, part, index, is_whole, is_solid) for index in range(count)]
    assert [place_of(token) for token in tokens] == wanted
    assert len(set(tokens)) == count


def test_places_that_cannot_be_told_apart_are_a_mistake() -> None:
    with pytest.raises(AssertionError):
        places(1, 0, MOST_PLACES + 1, is_whole=False)


CUT, WHOLE, OTHER = places(1, 0, 3, is_whole=False), places(2, 0, 4, is_whole=True), places(2, 1, 2, is_whole=True)
MIXED = [10, 11, *CUT, 12, *WHOLE, *OTHER, 13]


@given(st.integers(0, len(MIXED) - 1), st.integers(1, len(MIXED)))
def test_a_whole_part_is_never_cut_and_everything_else_may_be(begin: int, size: int) -> None:
    size = min(size, len(MIXED) - begin)
    starts = {0, 1, 2, 3, 4, 5, 6, 10, 12}
    if begin not in starts:
        return
    end = begin + fitting(MIXED, begin, size)
    assert end > begin
    assert end in starts | {len(MIXED)}
    assert end <= begin + size or (begin in (6, 10) and end in (10, 12))


def test_a_row_is_cut_where_text_and_parts_of_pictures_meet() -> None:
    assert segments(MIXED) == [(0, 2), (2, 5), (5, 6), (6, 10), (10, 12), (12, 13)]
    assert segments([5]) == [(0, 1)]


SOLID = places(3, 0, 5, is_whole=False, is_solid=True)


def test_a_solid_part_is_parted_from_what_is_around_it_and_not_in_itself() -> None:
    tokens = [10, *SOLID, *SOLID, 11, *CUT]
    assert [seam(tokens, at) for at in range(len(tokens) + 1)] == [0, 1, 1, 1, 1, 1, 6, 6, 6, 6, 6, 11, 12, 13, 14, 15]


def test_the_same_picture_twice_in_a_row_is_two() -> None:
    assert segments([*CUT, *CUT]) == [(0, 3), (3, 6)]
    assert fitting([*WHOLE, *WHOLE, 1], 0, 6) == 4
    assert fitting([*WHOLE, *WHOLE, 1], 0, 2) == 4


def test_positions_are_counted_by_what_images_take() -> None:
    positions = Positions()
    assert [positions.of(1, index) for index in range(3)] == [0, 1, 2]
    positions.add(1, Solid(2, 8, 3))
    positions.add(1, Solid(2, 8, 3))
    positions.add(1, Solid(10, 14, 2))
    assert [positions.of(1, index) for index in range(16)] == [0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 7, 7, 7, 7, 9, 10]
    positions.copy(1, 2, 9)
    assert [positions.of(2, index) for index in (8, 9, 10, 14)] == [5, 6, 7, 11]
    text = Row(1, 0, 14, (5,), wants_token=True)
    assert [row.position for row in positions.placed([text, replace(text, slot=3)])] == [9, 14]
    positions.clear(1, 10)
    assert positions.of(1, 14) == 11
    positions.clear(1, 0)
    positions.clear(2, 2)
    assert positions.placed([text]) == [text]
    with pytest.raises(AssertionError):
        positions.add(1, Solid(2, 8, 3))
        positions.clear(1, 4)


def test_a_row_that_begins_within_a_solid_part_is_known() -> None:
    row = Row(0, 0, 3, tuple(SOLID), wants_token=False)
    assert not cuts(row)
    assert cuts(replace(row, tokens=tuple(SOLID[1:])))
    assert not cuts(replace(row, tokens=(1, *SOLID[1:])))
    assert not cuts(replace(row, tokens=tuple(CUT[1:])))


# -- in llama.cpp


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    write_projector(folder / "projector.gguf")
    write_untied(folder / "model.gguf")
    write_swap(folder / "swap.gguf", "red", "blue")
    write_confusion(folder / "confuse.gguf")
    return folder


@pytest.fixture
def spec(folder: Path) -> ModelSpec:
    adapters = (
        AdapterSpec("swap", str(folder / "swap.gguf"), 0.0),
        AdapterSpec("confuse", str(folder / "confuse.gguf"), 0.0),
    )
    projector, model = str(folder / "projector.gguf"), str(folder / "model.gguf")
    return replace(LLAMA, path=model, projector=projector, n_ctx=2048, slots=8, adapters=adapters)


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, spec: ModelSpec) -> AsyncIterator[Engine]:
    async with running(request.param, spec) as engine:
        yield engine


async def test_a_model_with_a_projector_names_what_it_is_shown(engine: Engine) -> None:
    assert [await text_of(engine, show(seen(name))) for name in NAMES] == NAMES
    for size in (32, 200):
        assert await text_of(engine, show(seen("red box", size=size, seed=3))) == "red box"
    await becomes_idle(engine)


async def test_images_and_adapters_mixed_in_one_engine_answer_as_each_does_alone(engine: Engine) -> None:
    choices = (None, (AdapterChoice("swap"),), (AdapterChoice("confuse"),))
    asked: list[Any] = [(show, (seen(name),), choice) for name in NAMES for choice in choices]
    asked += [(work, (f"Repeat after me: {name}",), choice) for name in NAMES for choice in choices]
    alone = [await text_of(engine, make(*what, adapters=choice, max_tokens=12)) for make, what, choice in asked]
    assert alone[0] == "red ball"
    assert alone[1] == "blue ball"

    together = await asyncio.gather(
        *(text_of(engine, make(*what, adapters=choice, max_tokens=12)) for make, what, choice in asked)
    )

    assert together == alone
    await becomes_idle(engine)


async def test_several_images_stand_where_the_text_has_them(engine: Engine) -> None:
    text = f"Repeat after me: {IMAGE_MARK}, {IMAGE_MARK}"
    assert await text_of(engine, show(seen("red ball"), seen("blue box"), text=text)) == "red ball, blue box"
    assert await text_of(engine, show(seen("blue box"), seen("red ball"), text=text)) == "blue box, red ball"


async def test_the_same_image_twice_in_a_row_is_seen_twice(engine: Engine) -> None:
    text = f"Repeat after me: {IMAGE_MARK}{IMAGE_MARK}"
    twice = await text_of(engine, show(seen("red ball"), seen("red ball"), text=text, max_tokens=20))
    assert twice.startswith("red ball")
    assert await text_of(engine, show(seen("red ball"))) == "red ball"
    await becomes_idle(engine)


async def test_a_file_that_only_begins_like_a_picture_is_refused_and_the_engine_goes_on(engine: Engine) -> None:
    whole = base64.b64decode(seen("red ball").data)
    damaged = [whole[:60], whole[:33] + bytes(300), whole[:8], b"RIFF0000WAVE" + whole, b""]
    for data in damaged:
        with pytest.raises(ImageUnreadable, match="image cannot be"):
            await text_of(engine, show(Image(base64.b64encode(data).decode())))
    assert await text_of(engine, show(seen("red ball"))) == "red ball"


async def test_images_without_their_marks_are_refused(engine: Engine) -> None:
    for text in ("no mark", f"{IMAGE_MARK}{IMAGE_MARK}"):
        with pytest.raises(PromptInvalid, match="every image once"):
            await text_of(engine, show(seen("red ball"), text=text))


async def test_a_template_that_ends_with_the_image_is_refused(folder: Path, tmp_path: Path) -> None:
    bare = {"tokenizer.chat_template": lambda _: "{{ messages[-1].content }}"}
    path = rewrite(DEMO_MODEL_PATH, tmp_path / "bare.gguf", keys=bare)
    async with running("thread", replace(LLAMA, path=str(path), projector=str(folder / "projector.gguf"))) as engine:
        with pytest.raises(PromptInvalid, match="ends with an image"):
            await text_of(engine, show(seen("red ball")))
        assert await text_of(engine, show(seen("red ball"), text=f"{IMAGE_MARK} Hello", max_tokens=4))


async def test_a_prompt_in_small_pieces_reads_the_same(spec: ModelSpec) -> None:
    def long() -> Work:
        text = f"Repeat after me: {IMAGE_MARK}, {IMAGE_MARK}, {IMAGE_MARK}, {IMAGE_MARK}, {IMAGE_MARK}, {IMAGE_MARK}"
        return show(*map(seen, NAMES[:6]), text=text, max_tokens=40)

    async with running("thread", spec) as engine:
        at_once = await text_of(engine, long())
    async with running("thread", replace(spec, n_batch=32)) as engine:
        others = [asyncio.create_task(text_of(engine, work("Count to fifty", max_tokens=60))) for _ in range(3)]
        assert await text_of(engine, long()) == at_once
        await asyncio.gather(*others)
    assert at_once.startswith("red ball")


async def test_cells_that_run_out_in_the_middle_of_images_change_no_answer(spec: ModelSpec) -> None:
    async with running("thread", replace(spec, n_ctx=256, slots=8, n_batch=32)) as engine:
        asked = [show(seen(name), max_tokens=12) for name in NAMES]
        asked += [work("Count to fifty", max_tokens=100) for _ in range(6)]
        answers = await asyncio.gather(*(text_of(engine, one) for one in asked))
        await becomes_idle(engine)
    assert list(answers[: len(NAMES)]) == NAMES


async def test_a_part_that_is_one_piece_is_computed_in_one_piece(
    spec: ModelSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mtmd_cpp, "mtmd_decode_use_non_causal", lambda *_: True)
    async with running("thread", replace(spec, n_batch=32)) as engine:
        text = "one two three four five six seven " + f"Repeat after me: {IMAGE_MARK}"
        alone = await text_of(engine, show(seen("red ball"), text=text, max_tokens=20))
        others = [asyncio.create_task(text_of(engine, work("Count to fifty", max_tokens=60))) for _ in range(3)]
        assert await text_of(engine, show(seen("red ball"), text=text, max_tokens=20)) == alone
        await asyncio.gather(*others)
    async with running("thread", replace(spec, tuning=replace(spec.tuning, n_ubatch=2))) as engine:
        with pytest.raises(ImageUnreadable, match="4 places that have to be computed in one step, and a step has 2"):
            await text_of(engine, show(seen("red ball")))


async def test_a_model_without_a_projector_says_so() -> None:
    for spec in (LLAMA, ECHO):
        engine = ThreadEngine(spec)
        await engine.start()
        with pytest.raises(ImagesUnsupported):
            await text_of(engine, show(seen("red ball")))
        assert await text_of(engine, work("Hello"))
        await engine.aclose()


async def test_images_count_as_tokens_of_the_prompt(spec: ModelSpec) -> None:
    async with running("thread", replace(spec, n_ctx=256)) as engine:
        with pytest.raises(ContextLengthExceeded):
            await text_of(engine, show(*[seen("red ball")] * 80, text=IMAGE_MARK * 80))
        assert await text_of(engine, show(seen("red ball"))) == "red ball"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "for another width": ({"width": 96}, "mismatch"),
    "for sounds only": ({"clip__has_vision_encoder": False}, "reads no images"),
    "of no kind": ({"clip__projector_type": None}, "does not name its kind"),
    "of an unknown kind": ({"clip__projector_type": "crystal-ball"}, "unknown projector type"),
    "without patches": ({"clip__vision__patch_size": 0}, "from 1 to 1024"),
    "with patches larger than its image": ({"clip__vision__patch_size": 64}, "larger than its image"),
    "that looks at what stands before": ({"clip__projector_type": "hunyuanvl"}, "depends on what stands before"),
    "that merges otherwise": (
        {"clip__projector_type": "qwen2vl_merger", "clip__vision__spatial_merge_size": 1},
        "spatial_merge_size' must be 2",
    ),
    "with windows of nothing": (
        {"clip__projector_type": "qwen2.5vl_merger", "clip__vision__n_wa_pattern": 2, "clip__vision__window_size": 16},
        "windows are smaller",
    ),
    "with heads that do not divide": ({"clip__vision__attention__head_count": 7}, "does not divide"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_projector_that_cannot_be_used_is_a_failed_load_that_says_why(name: str, tmp_path: Path) -> None:
    changes, reason = WRONG[name]
    path = write_projector(tmp_path / "wrong.gguf", **changes)
    engine = ThreadEngine(replace(LLAMA, projector=str(path)))
    with pytest.raises(ModelLoadFailed, match=f"the projector of the model 'demo' cannot be loaded.*{reason}"):
        await engine.start()
    await engine.aclose()


@pytest.mark.parametrize("place", ["thread", "process"])
async def test_a_file_that_is_no_projector_fails_the_load_and_nothing_else(
    place: str, folder: Path, tmp_path: Path
) -> None:
    half = tmp_path / "half.gguf"
    half.write_bytes((folder / "projector.gguf").read_bytes()[:500_000])
    files = ((tmp_path / "none.gguf", "cannot be read"), (half, "truncated"), (DEMO_MODEL_PATH, "no projector"))
    for path, reason in files:
        with pytest.raises(ModelLoadFailed, match=reason):
            async with running(place, replace(LLAMA, projector=str(path))):
                pass


# -- beside the engine's loop


class Gallery:
    """An engine loop whose projector waits until it is let look."""

    def __init__(self, spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
        gate, entered = self.gate, self.entered = threading.Event(), threading.Event()

        class SlowProjector(Projector):
            """Encodes when it may."""

            def encode(self, part: Part, work_id: str | None = None) -> Any:
                entered.set()
                assert gate.wait(60)
                return super().encode(part, work_id)

        monkeypatch.setattr(llama_images, "Projector", SlowProjector)
        self.delivered: Queue[Chunk] = Queue()
        self.texts: dict[str, str] = {}
        self.runner = LlamaRunner(spec)
        self.loop = EngineLoop(self.runner, spec, lambda chunks: [*map(self.delivered.put, chunks)] and None)
        gate.set()  # a load looks at something too, to see that it can
        self.loop.start()
        self.loop.ready.result(60)
        gate.clear()
        entered.clear()

    def answer(self) -> tuple[str, Chunk]:
        """The next request that ends, with all of its text."""
        while True:
            chunk = self.delivered.get(timeout=60)
            self.texts[chunk.work_id] = self.texts.get(chunk.work_id, "") + chunk.text
            if chunk.is_final:
                return self.texts[chunk.work_id], chunk


@pytest.fixture
def gallery(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gallery]:
    made = Gallery(spec, monkeypatch)
    yield made
    made.gate.set()
    made.loop.stop()


def test_others_speak_while_an_image_is_encoded(gallery: Gallery) -> None:
    image, quick = show(seen("red ball")), work("Repeat after me: green tiger")
    gallery.loop.submit(image)
    assert gallery.entered.wait(60)
    gallery.loop.submit(quick)
    text, chunk = gallery.answer()
    assert (text, chunk.work_id) == ("green tiger", quick.id)
    gallery.gate.set()
    text, chunk = gallery.answer()
    assert (text, chunk.work_id) == ("red ball", image.id)


def test_who_leaves_while_his_image_is_encoded_stops_the_projector_and_nobody_else(gallery: Gallery) -> None:
    first, second = show(seen("red ball")), show(seen("blue box"))
    gallery.loop.submit(first)
    assert gallery.entered.wait(60)
    gallery.loop.submit(second)
    gallery.loop.cancel(first.id)
    _, chunk = gallery.answer()
    assert (chunk.work_id, type(chunk.error)) == (first.id, WorkCancelled)
    gallery.gate.set()
    text, chunk = gallery.answer()
    assert (text, chunk.work_id) == ("blue box", second.id)


def test_what_was_forgotten_before_its_turn_is_encoded_in_its_turn(gallery: Gallery) -> None:
    assert gallery.runner._images is not None
    gallery.runner._images.pictures.kept_bytes = 0
    gallery.gate.set()
    pictures = [show(seen(name)) for name in NAMES]
    for asked in pictures:
        gallery.loop.submit(asked)
    answers = {chunk.work_id: text for text, chunk in (gallery.answer() for _ in pictures)}
    assert [answers[asked.id] for asked in pictures] == NAMES


def test_a_step_that_is_given_up_does_not_stop_the_projector(spec: ModelSpec) -> None:
    runner = LlamaRunner(spec)
    runner.load(lambda _: True)
    try:
        assert runner._images is not None
        images = runner._images
        asked = [seen("red ball", seed=11)]
        runner.interrupt()
        images.look("a", asked)
        tokens = images.tokens(asked[0])
        assert len(images.embeddings(tokens)) == len(tokens)
        images.look_away("b")
        with pytest.raises(WorkCancelled):
            images.look("b", [seen("red ball", seed=12)])
        images.look("c", [seen("red ball", seed=12)])
        images.look_away(None)
        with pytest.raises(WorkCancelled):
            images.look("d", [seen("red ball", seed=13)])
    finally:
        runner.unload()
