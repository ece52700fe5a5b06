"""What a repository's files offer, and which of it is chosen."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.gguf.errors import NothingFits, QuantisationMissing, QuantisationUnclear
from bodhi_asgi.gguf.offers import Offer, choose, offers, pick

GB = 10**9


@dataclass(frozen=True, slots=True)
class File:
    filename: str
    size_bytes: int = 1


def files(**sizes: float) -> list[File]:
    return [File(f"Qwen3-8B-{quant}.gguf", int(size * GB)) for quant, size in sizes.items()]


USUAL = files(Q2_K=3.3, Q4_K_M=5.0, Q6_K=6.7, Q8_0=8.7, BF16=16.4)


def test_each_quantisation_is_offered_with_all_its_parts_and_the_projector() -> None:
    parts = [File(f"Q8_0/Vision-Q8_0-0000{number}-of-00003.gguf", number * GB) for number in (3, 1, 2)]
    projector = File("mmproj-F16.gguf", GB // 2)
    rest = [File("README.md"), File("imatrix.gguf"), File("mtp-Vision-Q8_0.gguf"), File("Vision-lora-f16.gguf")]
    found = offers([*parts, projector, *rest, File("Vision-Q4_K_M.gguf", 2 * GB)])
    assert [(offer.quant, offer.size_bytes, offer.total_bytes, offer.missing) for offer in found] == [
        ("Q4_K_M", 2 * GB, 5 * GB // 2, 0),
        ("Q8_0", 6 * GB, 13 * GB // 2, 0),
    ]
    assert [file.filename[-19:-5] for file in found[1].files] == [f"0000{number}-of-00003" for number in (1, 2, 3)]
    assert found[1].everything == (*found[1].files, projector)


def test_a_model_that_lacks_a_part_is_told_of_and_never_taken() -> None:
    found = offers([File("a-Q4_0-00001-of-00003.gguf"), File("a-Q4_0-00003-of-00003.gguf"), *files(Q8_0=1)])
    assert [offer.missing for offer in found] == [1, 0]
    assert choose(found, GB).quant == "Q8_0"
    with pytest.raises(QuantisationMissing, match="no quantisation 'Q4_0' here; there are: Q8_0"):
        pick(found, "Q4_0")


@pytest.mark.parametrize(
    ("model", "projectors", "expected"),
    [
        ("a-Q4_K_M.gguf", ["mmproj-F32.gguf", "mmproj-BF16.gguf", "mmproj-F16.gguf"], "mmproj-F16.gguf"),
        ("a-Q4_K_M.gguf", ["mmproj-a-f16.gguf", "mmproj-a-Q8_0.gguf"], "mmproj-a-Q8_0.gguf"),
        ("a-F16.gguf", ["mmproj-a-f16.gguf", "mmproj-a-Q8_0.gguf"], "mmproj-a-f16.gguf"),
        ("big-7B-Q4_0.gguf", ["mmproj-big-3B-f16.gguf", "mmproj-big-7B-f16.gguf"], "mmproj-big-7B-f16.gguf"),
        ("big-3B-Q4_0.gguf", ["mmproj-big-3B-f16.gguf", "mmproj-big-7B-f16.gguf"], "mmproj-big-3B-f16.gguf"),
        ("q4/a-Q4_0.gguf", ["mmproj-f16.gguf", "q4/mmproj-f32.gguf", "q8/mmproj-f16.gguf"], "q4/mmproj-f32.gguf"),
        ("q4/a-Q4_0.gguf", ["q8/mmproj-f16.gguf", "q/mmproj-f16.gguf"], None),
        ("llava-v1.5-7b-Q4_K.gguf", ["llava-v1.5-7b-mmproj-model-f16.gguf"], "llava-v1.5-7b-mmproj-model-f16.gguf"),
        ("a-Q4_0.gguf", [], None),
    ],
)
def test_a_projector_is_paired_by_folder_name_and_precision(
    model: str, projectors: list[str], expected: str | None
) -> None:
    (offer,) = offers([File(model), *map(File, projectors)])
    assert (offer.projector and offer.projector.filename) == expected


@pytest.mark.parametrize(
    ("budget", "beside", "expected"),
    [(100, 0, "Q8_0"), (8.7, 0, "Q8_0"), (8.6, 0, "Q6_K"), (8.7, 0.1, "Q6_K"), (5.0, 0, "Q4_K_M"), (4.9, 1, "Q2_K")],
)
def test_the_largest_that_fits_with_its_context_is_chosen(budget: float, beside: float, expected: str) -> None:
    chosen = choose(offers(USUAL), int(budget * GB), beside_bytes=int(beside * GB))
    assert chosen.quant == expected


def test_full_precision_is_chosen_only_where_there_is_nothing_else() -> None:
    assert choose(offers(files(F16=16, F32=32)), 20 * GB).quant == "F16"
    assert choose(offers(files(F16=16, Q2_K=3)), 20 * GB).quant == "Q2_K"


def test_a_projector_needs_room_too() -> None:
    found = offers([*USUAL, File("mmproj-F16.gguf", GB)])
    assert choose(found, 9 * GB).quant == "Q6_K"


def test_nothing_that_fits_and_nothing_at_all_are_told_apart() -> None:
    with pytest.raises(NothingFits, match=r"the smallest of 4, Q2_K, needs 3400000000 bytes") as refused:
        choose(offers(USUAL), GB, beside_bytes=GB // 10)
    assert refused.value.params == {"quant": "Q2_K", "needed_bytes": 34 * GB // 10, "budget_bytes": GB}
    assert refused.value.status == 400
    with pytest.raises(QuantisationMissing, match="no GGUF models") as missing:
        choose(offers([File("README.md"), File("model.safetensors")]), GB)
    assert missing.value.status == 404


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("Q4_K_M", "a-Q4_K_M.gguf"),
        ("q4_k_m", "a-Q4_K_M.gguf"),
        ("UD-Q4_K_M", "a-UD-Q4_K_M.gguf"),
        ("Q4_K_XL", "a-UD-Q4_K_XL.gguf"),
        ("ud-q4_k_xl", "a-UD-Q4_K_XL.gguf"),
        ("F16", "a-fp16.gguf"),
        ("fp16", "a-fp16.gguf"),
        ("instruct", "a-instruct.gguf"),
        ("Q4_K_M-imat", "b-Q4_K_M-imat.gguf"),
    ],
)
def test_a_quantisation_is_found_by_its_name(wanted: str, expected: str) -> None:
    names = ("a-Q4_K_M", "a-UD-Q4_K_M", "a-UD-Q4_K_XL", "a-fp16", "a-instruct")
    named = [File(f"{name}.gguf") for name in names]
    more = [File("b-Q4_K_M-imat.gguf")] if wanted.endswith("imat") else []
    assert pick(offers([*named, *more]), wanted).files[0].filename == expected


def test_a_quantisation_that_is_not_there_or_there_twice_is_refused_with_what_there_is() -> None:
    with pytest.raises(QuantisationMissing, match="no quantisation 'Q9' here; there are: Q2_K, Q4_K_M, Q6_K"):
        pick(offers(USUAL), "Q9")
    with pytest.raises(QuantisationMissing, match="there are: none"):
        pick(offers([]), "Q9")
    twice = offers([File("small-Q4_0.gguf"), File("large-Q4_0.gguf")])
    with pytest.raises(QuantisationUnclear, match=r"several files: 'large-Q4_0.gguf', 'small-Q4_0.gguf'"):
        pick(twice, "Q4_0")
    assert pick(twice, "small-q4_0").base == "small-Q4_0"


NAMES = st.from_regex(r"([ab]/)?(mmproj-)?[ab](-UD)?-(Q4_0|Q8_0|F16|x)(-0000[1-3]-of-0000[1-3])?\.gguf", fullmatch=True)


@given(st.sets(NAMES, max_size=20), st.integers(0, 40))
def test_no_file_is_offered_twice_and_no_choice_exceeds_its_budget(names: set[str], budget: int) -> None:
    found = offers([File(name) for name in names])
    offered = [file.filename for offer in found for file in offer.files]
    assert len(offered) == len(set(offered))
    assert set(offered) == {name for name in names if "mmproj" not in name}
    assert [offer.size_bytes for offer in found] == sorted(offer.size_bytes for offer in found)
    try:
        chosen: Offer[File] = choose(found, budget)
    except (NothingFits, QuantisationMissing):
        return
    assert chosen.total_bytes <= budget
    assert not chosen.missing
