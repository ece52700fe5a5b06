"""Whether a LoRA adapter fits a model, told from their headers.

Sources: ``llama-adapter.cpp`` of llama.cpp, which refuses some of this, and ``llama-graph.cpp``, which ends the process
over the rest; ``convert_lora_to_gguf.py`` for the keys.
"""

from pathlib import Path
from typing import Final

from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.parts import parts
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid, Tensor

SUFFIXES: Final = (".lora_a", ".lora_b")
IGNORED: Final = "_norm.weight"
"""Norms in an adapter are left alone by llama.cpp."""

TYPES: Final = {0: "F32", 1: "F16", 8: "Q8_0", 30: "BF16"}
"""In which an adapter's tensors may be, by their number in the file."""

EMBEDDING: Final = "token_embd.weight"
OUTPUT: Final = "output.weight"


def check_adapter(path: Path, model_path: Path) -> None:
    """Compare an adapter with the header of its model. Raises GgufInvalid, and OSError where it cannot be read."""
    model, *others = map(read_header, parts(model_path))
    header = read_header(path)
    check(header, path.stat().st_size)
    said = header.metadata.get
    if said("general.type") != "adapter" or said("adapter.type") != "lora":
        raise GgufInvalid("the file is no LoRA adapter ('general.type' and 'adapter.type' say so of one)")
    if header.architecture != model.architecture:
        raise GgufInvalid(
            f"it is for the architecture '{header.architecture}', and the model is '{model.architecture}'"
        )
    if type(said("adapter.lora.alpha")) is not float:
        raise GgufInvalid("it has no number under 'adapter.lora.alpha'")
    if "adapter.alora.invocation_tokens" in header.metadata:
        raise GgufInvalid("it is an activated LoRA, which takes effect in the middle of a text; that is not supported")
    _check_pairs(header, {tensor.name: tensor for part in (model, *others) for tensor in part.tensors})


def _check_pairs(header: GgufHeader, model: dict[str, Tensor]) -> None:
    own = {tensor.name: tensor for tensor in header.tensors}
    pairs = {name.removesuffix(suffix) for name in own for suffix in SUFFIXES if name.endswith(suffix)}
    for name in own:
        if not name.endswith((*SUFFIXES, IGNORED)):
            raise GgufInvalid(f"the tensor '{name[:64]}' is neither an A nor a B of a pair")
    if not pairs:
        raise GgufInvalid("it changes nothing")
    for name in sorted(pairs):
        a, b = own.get(f"{name}.lora_a"), own.get(f"{name}.lora_b")
        if a is None or b is None:
            raise GgufInvalid(f"of the pair for '{name[:64]}' one half is missing")
        target = model.get(name)
        if target is None:
            raise GgufInvalid(f"the model has no tensor '{name[:64]}': it was made for another model")
        if a.type not in TYPES or b.type not in TYPES:
            raise GgufInvalid(f"the pair for '{name[:64]}' is not in {', '.join(TYPES.values())}")
        if name == EMBEDDING and OUTPUT not in model:
            # One tensor serves as both there, and llama.cpp would apply the pair to the output the wrong way round.
            raise GgufInvalid("it changes the embedding of a model whose output is the same tensor")
        if not _fits(a, b, target):
            raise GgufInvalid(f"the pair for '{name[:64]}' has another shape than the model's tensor")


def _fits(a: Tensor, b: Tensor, target: Tensor) -> bool:
    """Whether B times A has the shape of the tensor; both are stored transposed for the embedding."""
    wide = _padded(target)
    one, other = _padded(a), _padded(b)
    if target.name == EMBEDDING:
        return (one[1], other[1]) == (wide[1], wide[0]) and one[0] == other[0]
    is_pair = (one[0], other[1]) == wide[:2] and one[1] == other[0]
    return is_pair and one[2:] == other[2:] == wide[2:]


def _padded(tensor: Tensor) -> tuple[int, ...]:
    return (*tensor.shape, 1, 1, 1, 1)[:4]
