"""Writes the trained network as GGUF: Q8_0 for matrices, F32 for norms, with its tokenizer and chat template.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import argparse
from pathlib import Path

import gguf
import numpy as np
import torch

from demo_model.conversation import TEMPLATE
from demo_model.network import Shape
from demo_model.tokenizer import CONTROL, MARKERS, Tokenizer

TARGET = Path(__file__).parent.parent / "bodhi_asgi" / "demo_model" / "demo.gguf"


def token_types(tokenizer: Tokenizer) -> list[gguf.TokenType]:
    kinds = dict.fromkeys(CONTROL, gguf.TokenType.CONTROL) | dict.fromkeys(MARKERS, gguf.TokenType.USER_DEFINED)
    return [
        kinds.get(token, gguf.TokenType.NORMAL if number < tokenizer.plain else gguf.TokenType.UNUSED)
        for number, token in enumerate(tokenizer.tokens)
    ]


def write(state: dict[str, torch.Tensor], tokenizer: Tokenizer, target: Path) -> None:
    """Write ``target``. The same weights give the same bytes."""
    shape = Shape(len(tokenizer.tokens))
    writer = gguf.GGUFWriter(str(target), "llama")
    writer.add_name("bodhi demo")
    writer.add_license("MIT")
    writer.add_description("A small demo model that comes with bodhi_asgi")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.width // shape.heads)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokenizer.tokens)
    writer.add_token_types(token_types(tokenizer))
    writer.add_token_merges([" ".join(pair) for pair in tokenizer.merges])
    writer.add_bos_token_id(tokenizer.ids["<|endoftext|>"])
    writer.add_eos_token_id(tokenizer.ids["<|im_end|>"])
    writer.add_eot_token_id(tokenizer.ids["<|im_end|>"])
    writer.add_pad_token_id(tokenizer.ids["<|endoftext|>"])
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for name, tensor in state.items():
        values = tensor.detach().numpy().astype(np.float32)
        if values.ndim == 2:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo_model/build"))
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    state = torch.load(arguments.folder / "network.pt")
    write(state, Tokenizer.load(arguments.folder / "merges.json"), arguments.target)
    print(f"{arguments.target}: {arguments.target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
