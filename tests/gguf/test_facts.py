"""What is told of a model is what the gguf package reads of the files that it writes."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import quantize
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.random_model import Shape, write
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.facts import GgufFacts, count_label, facts_of
from bodhi_asgi.gguf.file_types import FILE_TYPES, GUESSED, label_of, packing_of
from bodhi_asgi.gguf.fit import context_bytes, fit, room_tokens
from bodhi_asgi.gguf.parts import check_parts, parts, read_model
from bodhi_asgi.gguf.reader import parse_header, read_header
from bodhi_asgi.gguf.sight import sight_of
from bodhi_asgi.gguf.types import TENSOR_TYPES, GgufHeader, GgufInvalid, Tensor
from tests.gguf.files import ARRAY, BOOL, TEXT, Pair, Placed, header_bytes, model_bytes

SMALL = Shape(layers=2, width=64, inner=128, heads=4, kv_heads=2, vocabulary=1200, context=1024)
WRITABLE = [kind for kind in gguf.GGMLQuantizationType if kind.name not in ("Q8_1", "Q8_K")]
"""The other two exist in memory only."""


def write_packed(path: Path, kind: gguf.GGMLQuantizationType, order: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE) -> None:
    """A model whose weights are of one type: really packed where the package can, and zeros of that size elsewhere."""
    writer = gguf.GGUFWriter(path, "llama", endianess=order)
    writer.add_name(f"All in {kind.name}")
    writer.add_license("mit")
    writer.add_block_count(3)
    writer.add_context_length(4096)
    writer.add_embedding_length(512)
    writer.add_head_count(8)
    writer.add_head_count_kv(4)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("output_norm.weight", np.ones(512, np.float32))
    for layer, rows in enumerate((512, 3, 64)):
        writer.add_tensor(f"blk.{layer}.attn_q.weight", _packed(kind, (rows, 512)), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _packed(kind: gguf.GGMLQuantizationType, shape: tuple[int, int]) -> Any:
    try:
        return quantize(np.random.default_rng(1).standard_normal(shape, np.float32), kind)
    except NotImplementedError:
        return np.zeros(gguf.quant_shape_to_byte_shape(shape, kind), np.uint8)


@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.name)
@pytest.mark.parametrize("order", list(gguf.GGUFEndian), ids=lambda order: order.name)
def test_a_model_of_every_type_is_told_as_the_gguf_package_tells_it(
    kind: gguf.GGMLQuantizationType, order: gguf.GGUFEndian, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    write_packed(path, kind, order)
    header, peer = read_header(path), gguf.GGUFReader(path)
    check(header, path.stat().st_size)
    facts = facts_of(header)
    parameters = sum(int(one.n_elements) for one in peer.tensors)
    size = sum(int(one.n_bytes) for one in peer.tensors)
    assert facts == GgufFacts(
        kind="model",
        architecture="llama",
        name=f"All in {kind.name}",
        licence="mit",
        parameters=parameters,
        quantisation=kind.name,
        packing=kind.name,
        weight_bytes=size,
        bits_per_weight=8 * size / parameters,
        context_length=4096,
        embedding_length=512,
        layers=3,
        heads=8,
        kv_heads=4,
        vocabulary=3,
        version=3,
        is_big_endian=order is gguf.GGUFEndian.BIG,
    )


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0"])
def test_a_random_model_is_told_as_it_was_made(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write(path, SMALL, kind)
    facts, peer = facts_of(*read_model(path)), gguf.GGUFReader(path)
    assert facts.name == "random weights"
    assert facts.parameters == sum(int(one.n_elements) for one in peer.tensors)
    assert (facts.layers, facts.heads, facts.kv_heads, facts.embedding_length) == (2, 4, 2, 64)
    assert (facts.vocabulary, facts.tokenizer, facts.context_length) == (1200, "gpt2", 1024)
    assert facts.chat_template == peer.fields["tokenizer.chat_template"].contents()
    # The embedding is always Q8_0, and counts for nothing here.
    assert facts.quantisation == kind


def test_the_demo_model_is_told() -> None:
    facts = facts_of(read_header(DEMO_MODEL_PATH))
    assert (facts.kind, facts.architecture, facts.quantisation, facts.packing) == ("model", "llama", "Q8_0", "Q8_0")
    assert facts.parameters > 100_000
    assert 8 < facts.bits_per_weight < 12
    assert facts.is_causal
    assert facts.chat_template


def test_every_file_type_has_the_name_the_gguf_package_gives_it() -> None:
    for file_type in gguf.LlamaFileType:
        if file_type is not gguf.LlamaFileType.GUESSED:
            assert FILE_TYPES[int(file_type)] == file_type.name.removeprefix("MOSTLY_").removeprefix("ALL_")


def test_every_packing_is_the_one_of_llama_cpp_that_we_run() -> None:
    import llama_cpp

    numbers = {name.removeprefix("GGML_TYPE_"): number for name, number in vars(llama_cpp.llama_cpp).items()
               if name.startswith("GGML_TYPE_") and name != "GGML_TYPE_COUNT"}  # fmt: skip
    assert numbers.items() <= {packing.name: number for number, packing in TENSOR_TYPES.items()}.items()
    labels = {name.partition("FTYPE_")[2].removeprefix("MOSTLY_").removeprefix("ALL_"): number
              for name, number in vars(llama_cpp.llama_cpp).items() if name.startswith("LLAMA_FTYPE_")}  # fmt: skip
    assert {name: number for number, name in FILE_TYPES.items()}.items() >= labels.items() - {("GUESSED", GUESSED)}


def weights(**counts: int) -> list[Tensor]:
    numbers = {packing.name: number for number, packing in TENSOR_TYPES.items()}
    return [Tensor(f"blk.{name}", (256, count), numbers[name], 0) for name, count in counts.items()]


@pytest.mark.parametrize(
    ("file_type", "tensors", "expected"),
    [
        (15, weights(Q4_K=10, Q6_K=5, F32=1), "Q4_K_M"),
        (15 | GUESSED, weights(Q4_K=10, F32=1), "Q4_K_M"),
        (15, weights(Q5_0=10, Q8_0=5), "Q4_K_M"),  # rows of a small model that K types cannot pack
        (0, weights(Q4_K=10, F32=1), "Q4_K"),
        (1, weights(BF16=10, F32=1), "F16"),
        (15, weights(F16=10, F32=1), "F16"),
        (None, weights(MXFP4=10, BF16=5), "MXFP4"),
        ("15", weights(IQ2_XXS=10), "IQ2_XXS"),
        (True, weights(TQ2_0=10), "TQ2_0"),
        (-1, weights(NVFP4=10), "NVFP4"),
        (999, weights(Q2_0=10), "Q2_0"),
        (7, [], "Q8_0"),
        (7, [Tensor("t", (32,), 1000, 0)], "Q8_0"),
        (None, [], ""),
    ],
)
def test_a_quantisation_is_what_the_header_says_unless_that_cannot_be(
    file_type: object, tensors: list[Tensor], expected: str
) -> None:
    assert label_of(file_type, tensors) == expected


def test_the_embedding_decides_only_where_there_is_nothing_else() -> None:
    embedding = Tensor("token_embd.weight", (256, 1000), 8, 0)
    assert packing_of([embedding, *weights(Q4_0=10)]) == "Q4_0"
    assert packing_of([embedding]) == "Q8_0"


def facts(pairs: Mapping[str, Pair], *tensors: Placed) -> GgufFacts:
    return facts_of(parse_header(header_bytes(pairs, tensors)))


def named(arch: str, **more: str) -> dict[str, Pair]:
    return {"general.architecture": Pair(TEXT, arch)} | {
        f"general.{key}": Pair(TEXT, value) for key, value in more.items()
    }


def test_projectors_adapters_and_matrices_are_told_from_models() -> None:
    clip = named("clip", type="mmproj")
    clip |= {"clip.has_vision_encoder": Pair(BOOL, True), "clip.vision.block_count": Pair(4, 27)}
    clip |= {"clip.vision.embedding_length": Pair(4, 1152), "clip.vision.attention.head_count": Pair(4, 16)}
    projector = facts(clip)
    assert (projector.kind, projector.reads_images, projector.reads_sound) == ("projector", True, False)
    assert (projector.layers, projector.embedding_length, projector.heads) == (27, 1152, 16)
    sound = facts(named("clip") | {"clip.has_audio_encoder": Pair(BOOL, True)})
    assert (sound.kind, sound.reads_images, sound.reads_sound) == ("projector", False, True)
    assert facts(named("llama", type="adapter") | {"adapter.type": Pair(TEXT, "lora")}).kind == "adapter"
    assert facts(named("llama", type="model")).kind == "model"
    assert facts(named("controlvector")).kind == "model"
    assert facts({"general.type": Pair(TEXT, "imatrix")}).kind == "other"
    assert facts({}).kind == "other"


def test_pooling_and_marks_and_further_templates_are_told() -> None:
    one = named("bert", name="a", license="other")
    one |= {"bert.pooling_type": Pair(4, 1), "bert.attention.causal": Pair(BOOL, False)}
    assert (facts(one).pooling, facts(one).is_causal) == ("mean", False)
    assert not facts(named("qwen3") | {"qwen3.attention.causal": Pair(BOOL, False)}).is_causal
    ranker = named("qwen3") | {"qwen3.pooling_type": Pair(4, 4)}
    assert facts(ranker).pooling == ""
    assert facts(ranker, Placed("cls.weight", (1,), 0, 0)).pooling == "rank"
    assert facts(named("a") | {"a.pooling_type": Pair(4, 77)}).pooling == ""
    marks = {f"tokenizer.ggml.{name}_token_id": Pair(4, 1) for name in ("fim_pre", "suffix", "middle")}
    assert facts(named("a") | marks).fills_gaps
    assert not facts(named("a") | dict(list(marks.items())[1:])).fills_gaps
    texts = {"tokenizer.chat_template": Pair(TEXT, "x"), "tokenizer.chat_template.tool_use": Pair(TEXT, "y")}
    told = facts(named("a", basename="Base") | texts)
    assert (told.name, told.chat_template, told.templates) == ("Base", "x", (("tool_use", "y"),))


def test_counts_are_written_as_people_write_them() -> None:
    counts = (0, 999, 1000, 484_352, 134_515_008, 999_999_999, 1_235_814_400, 7_615_616_512, 70_553_706_496, 10**12)
    assert [count_label(count) for count in counts] == [
        *("0", "999", "1K", "484K", "135M", "1000M", "1.2B", "7.6B", "70.6B", "1000B"),
    ]


@given(st.integers(0, 10**15))
def test_a_count_keeps_its_size_in_words(count: int) -> None:
    label = count_label(count)
    value = float(label.rstrip("KMB")) * {"K": 1e3, "M": 1e6, "B": 1e9}.get(label[-1], 1)
    assert abs(value - count) <= max(0.051 * count, 0.5)


def split(folder: Path, kind: str = "Q8_0") -> list[Path]:
    """A model in three parts as llama.cpp's own tool splits it."""
    whole = folder / "whole.gguf"
    write(whole, SMALL, kind)  # type: ignore[arg-type]
    header, data = read_header(whole), whole.read_bytes()
    paths = []
    for number in range(3):
        tensors = header.tensors[number::3]
        pairs = {"split.no": Pair(2, number), "split.count": Pair(2, 3)}
        pairs |= {"split.tensors.count": Pair(5, len(header.tensors))}
        if number == 0:
            pairs |= named("qwen2", name="random weights")
            pairs |= {"qwen2.context_length": Pair(4, 1024), "qwen2.block_count": Pair(4, 2)}
        offset, placed, blobs = 0, [], b""
        for one in tensors:
            placed.append(Placed(one.name, one.shape, one.type, offset))
            begin = header.data_offset + one.offset
            blob = data[begin : begin + (one.size_bytes or 0)]
            blobs += blob + bytes(-len(blob) % 32)
            offset = len(blobs)
        path = folder / f"model-{number + 1:05}-of-00003.gguf"
        path.write_bytes(header_bytes(pairs, placed) + blobs)
        paths.append(path)
    return paths


def test_the_parts_of_a_model_are_one(tmp_path: Path) -> None:
    paths = split(tmp_path)
    whole = facts_of(read_header(tmp_path / "whole.gguf"))
    told = facts_of(*read_model(paths[0]))
    assert (told.parts, whole.parts) == (3, 1)
    assert (told.parameters, told.weight_bytes, told.quantisation, told.name, told.layers) == (
        *(whole.parameters, whole.weight_bytes, whole.quantisation, whole.name, whole.layers),
    )


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    paths = split(tmp_path)
    headers = read_model(paths[0])
    first, second, third = headers

    def said(header: GgufHeader, **values: int) -> GgufHeader:
        return replace(header, metadata={**header.metadata, **{f"split.{key}": n for key, n in values.items()}})

    for wrong, expected in (
        ((second, third), "not the first part"),
        ((first, second), "says that it has 3 parts, and there are 2"),
        ((said(first, count=2), third), "part 2 is not what its name says"),
        ((first, third, second), "part 2 is not what its name says"),
        ((first, second, said(replace(third, tensors=second.tensors), no=2)), "stands in two parts"),
        ((first, second, replace(third, tensors=third.tensors[1:])), "tensors, and it says that there are"),
        ((said(first, count=0), second), "says that it has 1 parts, and there are 2"),
    ):
        with pytest.raises(GgufInvalid, match=expected):
            check_parts(wrong)
    check_parts(headers)
    paths[1].write_bytes(paths[1].read_bytes()[:-64])
    with pytest.raises(GgufInvalid, match="lies outside the file"):
        read_model(paths[0])
    lonely = tmp_path / "lonely.gguf"
    lonely.write_bytes(paths[0].read_bytes())
    with pytest.raises(GgufInvalid, match="says that it has 3 parts, and there are 1"):
        read_model(lonely)


def test_a_name_that_claims_parts_without_number_is_not_followed(tmp_path: Path) -> None:
    with pytest.raises(GgufInvalid, match="claims to have 99999 parts"):
        parts(tmp_path / "a-00001-of-99999.gguf")


def test_tensors_begin_at_multiples_of_the_alignment() -> None:
    for alignment, offset, is_right in ((32, 32, True), (32, 16, False), (64, 32, False), (64, 64, True)):
        pairs = named("llama") | {"general.alignment": Pair(4, alignment)}
        data = header_bytes(pairs, [Placed("t", (4,), 0, offset)], alignment=alignment) + bytes(128)
        header = parse_header(data)
        assert header.alignment == alignment
        if is_right:
            check(header, len(data))
        else:
            with pytest.raises(GgufInvalid, match=f"begins at {offset}, and all must begin at multiples"):
                check(header, len(data))


SIZES = {"block_count": 4, "embedding_length": 64, "attention__head_count": 8, "attention__head_count_kv": 2}


def test_it_fits_when_weights_and_context_do() -> None:
    header = parse_header(model_bytes(**SIZES, context_length=8192))
    each = 4 * 2 * (8 + 8) * 2
    assert context_bytes(header) == 4096 * each
    assert context_bytes(header, 100, "q8_0", "f16") == 100 * 4 * 2 * (34 + 16)
    found = fit([header], 4096 * each)
    assert (found.weight_bytes, found.cache_bytes, found.context_tokens, found.fits) == (0, 4096 * each, 4096, True)
    assert not fit([header], 4096 * each - 1).fits
    assert not fit([header], 4096 * each, context_tokens=4097).fits
    assert room_tokens([header], 100 * each + 1) == 100
    assert room_tokens([header], 10**12) == 8192
    assert room_tokens([header], -1) == 0
    unknown = parse_header(model_bytes(context_length=512))
    assert (context_bytes(unknown), room_tokens([unknown], 10**9)) == (0, 512)


def test_a_projector_takes_room_beside_its_model() -> None:
    numbers = {"image_size": 28, "patch_size": 14, "embedding_length": 8, "feed_forward_length": 16}
    pairs = {f"clip.vision.{name}": Pair(4, number) for name, number in numbers.items()}
    pairs |= {"clip.vision.attention.head_count": Pair(4, 2), "general.architecture": Pair(TEXT, "clip")}
    weights = Placed("v.patch_embd.weight", (14, 14), 0, 0)
    eyes = parse_header(header_bytes(pairs, [weights]) + bytes(14 * 14 * 4))
    model = parse_header(model_bytes())
    sight = sight_of(eyes)
    taken = 14 * 14 * 4 + sight.picture_bytes(sight.patches(4096))
    assert fit([model], taken, projector=eyes).projector_bytes == taken
    assert fit([model], taken, projector=eyes).fits
    assert not fit([model], taken - 1, projector=eyes).fits


def test_counts_below_nothing_are_as_if_they_were_not_there() -> None:
    pairs = named("llama") | {"llama.block_count": Pair(5, -4), "llama.heads": Pair(ARRAY, [-1, 3], 5)}
    header = parse_header(header_bytes(pairs))
    assert (header.number("block_count", 9), header.number("heads")) == (9, 3)
    assert header.text("llama.block_count") == ""


def test_what_a_file_says_of_itself_moves_no_cursor_and_floods_no_log() -> None:
    hostile = "\x1b[2J\0\n\u202e" + "x" * 60_000
    told = facts({"general.architecture": Pair(TEXT, hostile), "general.name": Pair(TEXT, f"  {hostile}")})
    assert told.architecture == "\ufffd[2J" + "\ufffd" * 3 + "x" * 249
    assert told.name.isprintable()
    huge = {f"{hostile}.block_count": Pair(10, 2**64 - 1), "general.architecture": Pair(TEXT, hostile)}
    assert facts(huge).layers == 2**63 - 1
    with pytest.raises(GgufInvalid) as refused:
        check(parse_header(header_bytes(huge, [Placed("t", (1,), 0, 0)]) + bytes(4)), 10**6)
    assert len(refused.value.message) == 512
    assert refused.value.message.isprintable()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes in the file system are POSIX's")
def test_a_pipe_and_a_folder_are_no_models(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    for path in (tmp_path / "pipe.gguf", tmp_path):
        with pytest.raises(GgufInvalid, match="no regular file"):
            read_header(path)
