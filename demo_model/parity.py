"""Records what torch computes from the very weights that are shipped, for a test that needs no torch.

The matrices are rounded to Q8_0 and back before the forward pass, so what is compared is the arithmetic of llama.cpp.
"""

import argparse
import json
from pathlib import Path

import gguf
import numpy as np
import torch

from demo_model.conversation import segments
from demo_model.evaluate import split
from demo_model.generate import TASKS, conversations, instances
from demo_model.network import Network, Shape
from demo_model.tokenizer import Tokenizer

TARGET = Path(__file__).parent.parent / "tests" / "demo_model" / "recorded.json"
TEXTS = 300
TOP = 8


def rounded(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights as the file holds them."""
    kind = gguf.GGMLQuantizationType.Q8_0

    def through(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.ndim < 2:
            return tensor
        values = tensor.numpy().astype(np.float32)
        return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(values, kind), kind).reshape(values.shape))

    return {name: through(tensor) for name, tensor in state.items()}


def record(folder: Path) -> dict[str, object]:
    tokenizer = Tokenizer.load(folder / "merges.json")
    network = Network(Shape(len(tokenizer.tokens)))
    network.load_state_dict(rounded(torch.load(folder / "network.pt")))
    prompts = []
    with torch.no_grad():
        for task in TASKS:
            prompt, expected = split(instances(task, 1)[0])
            tokens = tokenizer.encode(prompt)
            logits = network(torch.tensor([tokens]))[0, -1]
            best = logits.topk(TOP)
            prompts.append(
                {
                    "task": task,
                    "tokens": tokens,
                    "expected": expected,
                    "top": [[int(i), round(float(v), 4)] for i, v in zip(best.indices, best.values, strict=True)],
                }
            )
    stream = conversations(7)
    texts = ["".join(text for text, _ in segments(next(stream))) for _ in range(TEXTS)]
    return {"prompts": prompts, "texts": [[text, tokenizer.encode(text)] for text in texts]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("demo_model/build"))
    parser.add_argument("--target", type=Path, default=TARGET)
    arguments = parser.parse_args()
    arguments.target.parent.mkdir(parents=True, exist_ok=True)
    arguments.target.write_text(json.dumps(record(arguments.folder)) + "\n")


if __name__ == "__main__":
    main()
