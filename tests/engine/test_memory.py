"""What a model is predicted to take is what llama.cpp takes for it, within a tenth."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.model_memory import MARGIN, measure
from benchmarks.random_model import Quantisation, Shape, write
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.budget import needed_bytes
from bodhi_asgi.engine.memory import ProjectorMemory, model_memory, projector_memory
from bodhi_asgi.engine.types import AdapterSpec, ModelSpec, Speculation, Tuning
from bodhi_asgi.gguf.memory import cache_bytes, repacked_bytes, state_bytes, vocabulary_size, weight_bytes
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.types import Array, GgufHeader, Tensor
from tests.engine.gguf_files import rewrite
from tests.engine.memory_models import Sizes, write_memory_model
from tests.engine.sighted_files import Eye, Kind, write_sighted_model, write_sighted_projector
from tests.engine.support import LLAMA
from tests.engine.wide_files import write_wide_adapter, write_wide_encoder, write_wide_projector

SHAPE = Shape(layers=4, width=512, inner=1536, heads=8, kv_heads=8, vocabulary=8000, context=4096)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")


PLAIN = Tuning()


def spec(path: Path, tuning: Tuning = PLAIN, **sizes: Any) -> ModelSpec:
    return replace(ModelSpec("m", str(path), n_ctx=1024, slots=4, threads=1, tuning=tuning), **sizes)


@on_linux
def test_the_demo_model_takes_what_is_predicted() -> None:
    found = measure("demo", spec(DEMO_MODEL_PATH, n_ctx=2048, slots=8))
    assert found.ratio == pytest.approx(1, abs=MARGIN), found


@on_linux
@pytest.mark.parametrize(
    ("kind", "tuning", "sizes"),
    [
        ("Q8_0", Tuning(), {}),
        ("Q4_0", Tuning(load_mode="mmap"), {"n_ctx": 2048, "n_batch": 256}),
        ("Q4_0", Tuning(cache_type_k="q8_0", cache_type_v="q8_0"), {"n_ctx": 4096, "n_batch": 1024}),
    ],
    ids=["mapped", "laid out anew", "a cache in eight bits"],
)
def test_other_shapes_take_what_is_predicted(
    tmp_path: Path, kind: Quantisation, tuning: Tuning, sizes: dict[str, int]
) -> None:
    write(tmp_path / "m.gguf", SHAPE, kind)
    found = measure(kind, spec(tmp_path / "m.gguf", tuning, **sizes))
    assert found.ratio == pytest.approx(1, abs=MARGIN), found


@on_linux
@pytest.mark.parametrize("kind", ["an adapter", "a projector", "a draft model"])
def test_what_stands_beside_a_model_takes_what_is_predicted(tmp_path: Path, kind: str) -> None:
    model, beside = tmp_path / "m.gguf", str(tmp_path / "beside.gguf")
    write(model, SHAPE, "Q8_0")
    alone = spec(model, Tuning(cache_type_k="q8_0", cache_type_v="q8_0"))
    match kind:
        case "an adapter":
            write_wide_adapter(Path(beside), SHAPE, rank=256)
            both = replace(alone, adapters=(AdapterSpec("a", beside),))
        case "a projector":
            write_wide_projector(Path(beside), embedding=SHAPE.width)
            both = replace(alone, projector=beside)
        case _:
            # Its cache stays in sixteen bits, whatever the model's is packed in.
            write(Path(beside), SHAPE, "Q8_0")
            both = replace(alone, n_ctx=4096, speculation=Speculation("model", path=beside))
    found = measure(kind, both)
    assert found.ratio == pytest.approx(1, abs=MARGIN), found
    assert needed_bytes(both) - needed_bytes(replace(alone, n_ctx=both.n_ctx)) > Path(beside).stat().st_size * 0.9


@on_linux
@pytest.mark.parametrize(("kind", "n_ctx"), [("qwen2vl", 512), ("qwen2.5vl", 512), ("qwen3vl", 256)])
def test_the_largest_picture_of_a_model_that_sees_in_two_dimensions_takes_what_is_predicted(
    tmp_path: Path, kind: Kind, n_ctx: int
) -> None:
    model, projector = tmp_path / "m.gguf", tmp_path / "projector.gguf"
    write_sighted_model(model, kind)
    write_sighted_projector(projector, kind, Eye(width=320, inner=1280, patch=14, side=224, heads=4))
    found = measure(kind, spec(model, n_ctx=n_ctx, projector=str(projector)))
    assert found.ratio == pytest.approx(1, abs=MARGIN), found


def test_a_projector_that_cannot_be_read_is_not_counted_and_refused_when_it_is_loaded(tmp_path: Path) -> None:
    assert projector_memory(tmp_path / "none.gguf", 1024) == ProjectorMemory()


def test_conversations_that_rest_have_as_much_reserved_as_the_cells_and_no_more_than_is_reasonable() -> None:
    def resting(**more: Any) -> int:
        asked = replace(LLAMA, **more)
        return needed_bytes(asked) - needed_bytes(replace(asked, prefix_memory_bytes=0))

    assert 0 < 2 * resting(n_ctx=1024) == resting(n_ctx=2048) < resting(n_ctx=1_048_576) == 256 * 2**20
    assert resting(prefix_memory_bytes=1000) == 1000
    assert resting(prefix_sharing="none") == resting(prefix_sharing="none", prefix_memory_bytes=1000) == 0


@on_linux
@pytest.mark.parametrize(
    "kind",
    ["states", "states and a cache", "an encoder", "vectors of all that was said before", "vectors of short texts"],
)
def test_models_with_another_memory_take_what_is_predicted(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "m.gguf"
    match kind:
        case "states":
            asked = spec(write_memory_model(path, "mamba", Sizes(512, 64)), slots=8)
        case "states and a cache":
            asked = spec(write_memory_model(path, "jamba", Sizes(512, 64)), n_ctx=4096)
        case "an encoder":
            asked = spec(write_wide_encoder(path, context=1024), n_ctx=0)
        case _:
            write(tmp_path / "answers.gguf", SHAPE, "Q8_0")
            n_ctx = 1024 if kind == "vectors of short texts" else 4096
            asked = spec(rewrite(tmp_path / "answers.gguf", path, said={"qwen2.pooling_type": 3}), n_ctx=n_ctx)
    found = measure(kind, asked)
    assert found.ratio == pytest.approx(1, abs=MARGIN), found


def test_what_would_lie_there_twice_is_read_and_not_mapped(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    write(path, SHAPE, "Q4_0")
    header = read_header(path)
    whole, again = weight_bytes(header), repacked_bytes(header, "x86_64")
    assert 0.5 * whole < again < whole
    assert repacked_bytes(header, "riscv64") == 0
    if repacked_bytes(header):
        read, mapped = model_memory(path, spec(path)), model_memory(path, spec(path, Tuning(load_mode="mmap")))
        assert (read.load_mode, read.weight_bytes, mapped.weight_bytes) == ("read", whole, whole + again)
    assert model_memory(DEMO_MODEL_PATH, spec(DEMO_MODEL_PATH)).load_mode == "mmap"
    assert vocabulary_size(header) == 8000


def test_a_cache_is_counted_in_its_types_and_a_state_per_sequence() -> None:
    header = read_header(DEMO_MODEL_PATH)
    whole = cache_bytes(header, 256, "f32", "f32")
    assert whole is not None
    assert cache_bytes(header, 256) == whole // 2
    assert cache_bytes(header, 256, "q8_0", "q8_0") == whole // 128 * 34
    assert state_bytes(header, 4) == 0
    sizes = {"block_count": 2, "ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16}
    metadata = {"general.architecture": "mamba", **{f"mamba.{name}": value for name, value in sizes.items()}}
    mamba = GgufHeader(3, False, metadata, (Tensor("t", (32, 8), 2, 0),), 0)
    assert state_bytes(mamba, 3) == 4 * 2 * (3 * 64 + 16 * 64) * 3
    hybrid = replace(mamba, metadata={**metadata, "mamba.attention.head_count_kv": Array(2, False, (0, 4))})
    assert state_bytes(hybrid, 3) == state_bytes(mamba, 3) // 2
    assert repacked_bytes(mamba, "x86_64") == 8 * 18
