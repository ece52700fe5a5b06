"""What file names tell: quantisation, qualifier, part and kind, of names as repositories have them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.gguf.names import FileKind, Part, base_of, kind_of, part_of, qualifier, quantisation

NAMES: dict[str, tuple[FileKind, str, str]] = {
    # name: kind, qualifier, quantisation
    "Qwen2.5-7B-Instruct-Q4_K_M.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "qwen2.5-0.5b-instruct-q4_k_m.gguf": ("model", "q4_k_m", "Q4_K_M"),
    "qwen2.5-0.5b-instruct-fp16.gguf": ("model", "fp16", "F16"),
    "qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf": ("model", "q4_k_m", "Q4_K_M"),
    "qwen2.5-coder-32b-instruct-fp16-00009-of-00009.gguf": ("model", "fp16", "F16"),
    "Qwen3-0.6B-Q8_0.gguf": ("model", "Q8_0", "Q8_0"),
    "Qwen3-4B-UD-Q4_K_XL.gguf": ("model", "Q4_K_XL", "UD-Q4_K_XL"),
    "Qwen3-30B-A3B-Instruct-2507-UD-TQ1_0.gguf": ("model", "TQ1_0", "UD-TQ1_0"),
    "Qwen3-30B-A3B-Instruct-2507-IQ4_NL.gguf": ("model", "IQ4_NL", "IQ4_NL"),
    "Qwen3-Coder-30B-A3B-Instruct-1M-UD-IQ2_XXS.gguf": ("model", "IQ2_XXS", "UD-IQ2_XXS"),
    "BF16/Qwen3-235B-A22B-BF16-00001-of-00010.gguf": ("model", "BF16", "BF16"),
    "Q4_K_M/Qwen3-235B-A22B-Q4_K_M-00001-of-00003.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "Q8_0/model-00001-of-00005.gguf": ("model", "model", "Q8_0"),
    "Qwen_QwQ-32B-IQ3_XS.gguf": ("model", "IQ3_XS", "IQ3_XS"),
    "Qwen_Qwen3-8B-Q6_K_L.gguf": ("model", "Q6_K_L", "Q6_K_L"),
    "Qwen3-Embedding-0.6B-f16.gguf": ("model", "f16", "F16"),
    "qwen3-reranker-0.6b-q8_0.gguf": ("model", "q8_0", "Q8_0"),
    "Meta-Llama-3.1-8B-Instruct-Q5_K_S.gguf": ("model", "Q5_K_S", "Q5_K_S"),
    "Meta-Llama-3.1-8B-Instruct-Q4_0_4_8.gguf": ("model", "Q4_0_4_8", "Q4_0_4_8"),
    "Meta-Llama-3-8B-Instruct.Q3_K_L.gguf": ("model", "Q3_K_L", "Q3_K_L"),
    "Meta-Llama-3.1-8B-Instruct-f32.gguf": ("model", "f32", "F32"),
    "Llama-3.2-1B-Instruct-IQ3_M.gguf": ("model", "IQ3_M", "IQ3_M"),
    "Llama-3.3-70B-Instruct-Q8_0/Llama-3.3-70B-Instruct-Q8_0-00001-of-00002.gguf": ("model", "Q8_0", "Q8_0"),
    "llama-2-7b-chat.Q2_K.gguf": ("model", "Q2_K", "Q2_K"),
    "llama-2-7b-chat.ggmlv3.q4_1.gguf": ("model", "q4_1", "Q4_1"),
    "codellama-13b.Q4_K_S.gguf": ("model", "Q4_K_S", "Q4_K_S"),
    "tinyllama-1.1b-chat-v1.0.Q5_0.gguf": ("model", "Q5_0", "Q5_0"),
    "mistral-7b-instruct-v0.2.Q4_K_M.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "mixtral-8x7b-instruct-v0.1.Q3_K_M.gguf": ("model", "Q3_K_M", "Q3_K_M"),
    "Mistral-Nemo-Instruct-2407-Q5_1.gguf": ("model", "Q5_1", "Q5_1"),
    "Mistral-Small-3.2-24B-Instruct-2506-UD-Q2_K_XL.gguf": ("model", "Q2_K_XL", "UD-Q2_K_XL"),
    "L3-8B-Stheno-v3.2-Q4_K_M-imat.gguf": ("model", "imat", "Q4_K_M"),
    "Some-Merge.i1-IQ3_XXS.gguf": ("model", "IQ3_XXS", "IQ3_XXS"),
    "Some-Merge.i1-Q2_K_S.gguf": ("model", "Q2_K_S", "Q2_K_S"),
    "Phi-3-mini-4k-instruct-q4.gguf": ("model", "q4", "Q4"),
    "Phi-3.5-mini-instruct-IQ2_M.gguf": ("model", "IQ2_M", "IQ2_M"),
    "phi-4-Q3_K_S.gguf": ("model", "Q3_K_S", "Q3_K_S"),
    "gemma-2-2b-it-IQ4_XS.gguf": ("model", "IQ4_XS", "IQ4_XS"),
    "gemma-3-4b-it-q4_0.gguf": ("model", "q4_0", "Q4_0"),
    "gemma-3-27b-it-qat-Q4_0.gguf": ("model", "Q4_0", "Q4_0"),
    "gemma-3n-E4B-it-UD-Q8_K_XL.gguf": ("model", "Q8_K_XL", "UD-Q8_K_XL"),
    "gpt-oss-20b-mxfp4.gguf": ("model", "mxfp4", "MXFP4"),
    "gpt-oss-120b-MXFP4_MOE-00001-of-00003.gguf": ("model", "MXFP4_MOE", "MXFP4_MOE"),
    "gpt-oss-20b-F16.gguf": ("model", "F16", "F16"),
    "Nemotron-3-Nano-30B-A3B-NVFP4.gguf": ("model", "NVFP4", "NVFP4"),
    "DeepSeek-R1-UD-IQ1_S-00001-of-00003.gguf": ("model", "IQ1_S", "UD-IQ1_S"),
    "DeepSeek-R1-Distill-Qwen-1.5B-Q8_0.gguf": ("model", "Q8_0", "Q8_0"),
    "DeepSeek-V3-0324-UD-IQ1_M/DeepSeek-V3-0324-UD-IQ1_M-00002-of-00006.gguf": ("model", "IQ1_M", "UD-IQ1_M"),
    "DeepSeek-V3.1-smol-IQ2_KS-00001-of-00005.gguf": ("model", "IQ2_KS", "IQ2_KS"),
    "GLM-4.5-Air-IQ4_KSS-00001-of-00002.gguf": ("model", "IQ4_KSS", "IQ4_KSS"),
    "Kimi-K2-Instruct-UD-TQ1_0-00001-of-00005.gguf": ("model", "TQ1_0", "UD-TQ1_0"),
    "SmolLM2-135M-Instruct-Q8_0.gguf": ("model", "Q8_0", "Q8_0"),
    "granite-3.3-8b-instruct-Q6_K.gguf": ("model", "Q6_K", "Q6_K"),
    "Falcon3-1B-Instruct-1.58bit-TQ2_0.gguf": ("model", "TQ2_0", "TQ2_0"),
    "ggml-model-i2_s.gguf": ("model", "i2_s", "I2_S"),
    "ggml-model-Q4_K_M.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "ggml-model-f16.gguf": ("model", "f16", "F16"),
    "stories15M-q4_0.gguf": ("model", "q4_0", "Q4_0"),
    "unsloth.Q8_0.gguf": ("model", "Q8_0", "Q8_0"),
    "unsloth.BF16.gguf": ("model", "BF16", "BF16"),
    "model_name_q5_k_m.gguf": ("model", "model_name_q5_k_m", "Q5_K_M"),
    "bge-m3-q8_0.gguf": ("model", "q8_0", "Q8_0"),
    "nomic-embed-text-v1.5.f16.gguf": ("model", "f16", "F16"),
    "all-MiniLM-L6-v2-ggml-model-f16.gguf": ("model", "f16", "F16"),
    "Bonsai-1.7B-Q1_0.gguf": ("model", "Q1_0", "Q1_0"),
    "model.gguf": ("model", "model", ""),
    "Q4_K_M.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "llama-3-8b-instruct.gguf": ("model", "instruct", ""),
    "LOUD-NAME.Q4_K_M.GGUF": ("model", "Q4_K_M", "Q4_K_M"),
    "mmproj-F16.gguf": ("projector", "F16", "F16"),
    "mmproj-BF16.gguf": ("projector", "BF16", "BF16"),
    "mmproj-model-f16.gguf": ("projector", "f16", "F16"),
    "mmproj-Qwen2.5-VL-7B-Instruct-Q8_0.gguf": ("projector", "Q8_0", "Q8_0"),
    "gemma-3-4b-it-mmproj-f16.gguf": ("projector", "f16", "F16"),
    "llava-v1.5-7b-mmproj-model-f16.gguf": ("projector", "f16", "F16"),
    "MiniCPM-V-2_6-mmproj.gguf": ("projector", "mmproj", ""),
    "mmproj/model-f16.gguf": ("model", "f16", "F16"),
    "imatrix_unsloth.gguf": ("other", "imatrix_unsloth", ""),
    "Qwen3-8B-imatrix.gguf": ("other", "imatrix", ""),
    "ggml-vocab-llama-bpe.gguf": ("other", "bpe", ""),
    "mtp-GLM-4.6-Q8_0.gguf": ("companion", "Q8_0", "Q8_0"),
    "eagle3-llama-3.1-8b-f16.gguf": ("companion", "f16", "F16"),
    "Llama-3.2-1B-lora-f16.gguf": ("adapter", "f16", "F16"),
    "adapter_model.gguf": ("adapter", "adapter_model", ""),
    "Explorator-7B-Q4_K_M.gguf": ("model", "Q4_K_M", "Q4_K_M"),
    "README.md": ("other", "md", ""),
    "model.safetensors": ("other", "safetensors", ""),
    "old-model.ggml.q4_0.bin": ("other", "bin", "Q4_0"),
    "Some-Merge.Q8_0.gguf.part1of2": ("other", "part1of2", "Q8_0"),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_tells_what_a_file_is_and_how_it_is_quantised(name: str) -> None:
    assert (kind_of(name), qualifier(name), quantisation(name)) == NAMES[name]


PARTS: dict[str, Part | None] = {
    "a-00001-of-00003.gguf": Part("a", 1, 3),
    "b/c-Q4_0-00003-of-00003.gguf": Part("b/c-Q4_0", 3, 3),
    "a-00001-of-00001.GGUF": Part("a", 1, 1),
    "-00001-of-00002.gguf": None,
    "a/-00001-of-00002.gguf": None,
    "a-0000１-of-00002.gguf": None,  # noqa: RUF001 - a digit, but not one of ours
    "a-00000-of-00003.gguf": None,
    "a-00004-of-00003.gguf": None,
    "a-00000-of-00000.gguf": None,
    "a-1-of-3.gguf": None,
    "a-000001-of-000003.gguf": None,
    "a-00001-of-00003.gguf.part": None,
    "a-00001-of-00003": None,
    "a.gguf": None,
}


@pytest.mark.parametrize("name", PARTS)
def test_a_name_tells_which_part_of_a_split_model_a_file_is(name: str) -> None:
    part = part_of(name)
    assert part == PARTS[name]
    if part is not None:
        assert part.name(part.number).lower() == name.lower()
        assert {base_of(part.name(number)) for number in range(1, part.count + 1)} == {part.prefix}


@given(st.text(max_size=300) | st.from_regex(r"[-._A-Za-z0-9/]{0,60}\.gguf", fullmatch=True))
def test_any_name_is_read_without_an_error(name: str) -> None:
    kind_of(name)
    base_of(name)
    part_of(name)
    assert "/" not in qualifier(name)
    label = quantisation(name)
    assert label == label.upper()
    assert not label or quantisation(f"model-{label}.gguf") == label


@pytest.mark.parametrize("piece", ["Q4_", "q4_k_", "-", "UD-", "iq2_x", "f1", ".mtp", "-00001-of-", "_lora"])
def test_a_name_without_end_is_read_in_no_time(piece: str) -> None:
    name = piece * (100_000 // len(piece)) + ".gguf"
    began = time.process_time()
    kind_of(name), qualifier(name), quantisation(name), part_of(name)
    assert time.process_time() - began < 5
