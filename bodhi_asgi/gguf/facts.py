"""What a model's headers tell of it: what it is, how large, how packed, for how long a text, by which template."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from bodhi_asgi.gguf.file_types import label_of, packing_of
from bodhi_asgi.gguf.memory import WITHOUT_CACHE, vocabulary_size, weight_bytes
from bodhi_asgi.gguf.types import GgufHeader, Value, printable

GgufKind: TypeAlias = Literal["model", "projector", "adapter", "other"]
Pooling: TypeAlias = Literal["", "mean", "cls", "last", "rank"]

POOLINGS: Final[Mapping[int, Pooling]] = {1: "mean", 2: "cls", 3: "last", 4: "rank"}
"""``<architecture>.pooling_type``, as ``llama.h`` numbers it."""

CLASSIFIERS: Final = ("cls.weight", "cls.output.weight")
"""Without one of these tensors there is nothing that could rank."""

GAP_MARKS: Final = (("fim_pre", "prefix"), ("fim_suf", "suffix"), ("fim_mid", "middle"))
"""Marks around a gap to be filled in, by the names their tokens have and had."""

TEMPLATE: Final = "tokenizer.chat_template"
MAX_LINE: Final = 256
MOST: Final = 2**63 - 1
BILLION: Final = 1_000_000_000
MILLION: Final = 1_000_000
THOUSAND: Final = 1000


@dataclass(frozen=True, slots=True)
class GgufFacts:
    """A model as its headers describe it; numbers are 0 and texts empty where they say nothing.

    All but the templates are printable lines, and all numbers fit a database.

    ``parameters`` are counted from the tensors of all ``parts``, ``bits_per_weight`` is what they take in the file.
    ``quantisation`` is the name of the mix (``Q4_K_M``), ``packing`` the type of most weights (``Q4_K``). Of ``heads``
    and ``kv_heads`` that differ by layer, the most. ``is_causal``: each token sees those before it only. ``templates``
    are further chat templates, by name.
    """

    kind: GgufKind
    architecture: str
    name: str = ""
    size_label: str = ""
    licence: str = ""
    parameters: int = 0
    quantisation: str = ""
    packing: str = ""
    weight_bytes: int = 0
    bits_per_weight: float = 0.0
    context_length: int = 0
    embedding_length: int = 0
    layers: int = 0
    heads: int = 0
    kv_heads: int = 0
    experts: int = 0
    experts_used: int = 0
    vocabulary: int = 0
    tokenizer: str = ""
    pooling: Pooling = ""
    is_causal: bool = True
    reads_images: bool = False
    reads_sound: bool = False
    fills_gaps: bool = False
    chat_template: str = ""
    templates: tuple[tuple[str, str], ...] = ()
    version: int = 0
    is_big_endian: bool = False
    parts: int = 1


def facts_of(header: GgufHeader, *others: GgufHeader) -> GgufFacts:
    """Of a model, or of what else a GGUF file holds. ``others`` are the headers of its further parts, in order.

    Raises nothing: headers are to be checked before.
    """
    tensors = [tensor for one in (header, *others) for tensor in one.tensors]
    parameters = sum(tensor.elements for tensor in tensors)
    known = sum(tensor.elements for tensor in tensors if tensor.size_bytes is not None)
    size = sum(map(weight_bytes, (header, *others)))
    kind = _kind(header)

    def number(key: str, default: int = 0) -> int:
        return min(header.number(key, default), MOST)

    def line(*keys: str) -> str:
        return next((printable(text, MAX_LINE).strip() for key in keys if (text := header.text(key))), "")

    # A projector keeps its numbers under the name of the sense it serves.
    sense = "vision." if kind == "projector" and "clip.vision.block_count" in header.metadata else ""
    heads = number(f"{sense}attention.head_count")
    return GgufFacts(
        kind=kind,
        architecture=line("general.architecture"),
        name=line("general.name", "general.basename"),
        size_label=line("general.size_label"),
        licence=line("general.license", "general.license.name"),
        parameters=min(parameters, MOST),
        quantisation=label_of(header.metadata.get("general.file_type"), tensors),
        packing=packing_of(tensors),
        weight_bytes=min(size, MOST),
        bits_per_weight=8 * size / known if known else 0.0,
        context_length=number("context_length"),
        embedding_length=number(f"{sense}embedding_length"),
        layers=number(f"{sense}block_count"),
        heads=heads,
        kv_heads=number("attention.head_count_kv", heads),
        experts=number("expert_count"),
        experts_used=number("expert_used_count"),
        vocabulary=vocabulary_size(header),
        tokenizer=line("tokenizer.ggml.model"),
        pooling=_pooling(header, {tensor.name for tensor in tensors}),
        is_causal=header.architecture not in WITHOUT_CACHE
        and header.metadata.get(f"{header.architecture}.attention.causal") is not False,
        reads_images=header.metadata.get("clip.has_vision_encoder") is True,
        reads_sound=header.metadata.get("clip.has_audio_encoder") is True,
        fills_gaps=all(_has_mark(header.metadata, names) for names in GAP_MARKS),
        chat_template=header.text(TEMPLATE),
        templates=_templates(header),
        version=header.version,
        is_big_endian=header.is_big_endian,
        parts=1 + len(others),
    )


def count_label(number: int) -> str:
    """A count as people write it: ``7.6B``, ``135M``, ``484K``."""
    for unit, letter in ((BILLION, "B"), (MILLION, "M"), (THOUSAND, "K")):
        if number >= unit:
            return f"{number / unit:.{0 if number >= 100 * unit else 1}f}".removesuffix(".0") + letter
    return str(number)


def _kind(header: GgufHeader) -> GgufKind:
    said = header.text("general.type")
    if said == "adapter":
        return "adapter"
    if said == "mmproj" or header.architecture == "clip":
        return "projector"
    if said not in ("", "model") or not header.architecture:
        return "other"
    return "model"


def _pooling(header: GgufHeader, tensors: set[str]) -> Pooling:
    found = POOLINGS.get(header.number("pooling_type"), "")
    return "" if found == "rank" and tensors.isdisjoint(CLASSIFIERS) else found


def _has_mark(metadata: Mapping[str, Value], names: tuple[str, ...]) -> bool:
    return any(f"tokenizer.ggml.{name}_token_id" in metadata for name in names)


def _templates(header: GgufHeader) -> tuple[tuple[str, str], ...]:
    begin = f"{TEMPLATE}."
    found = ((key.removeprefix(begin), header.text(key)) for key in header.metadata if key.startswith(begin))
    return tuple(sorted((name, text) for name, text in found if text))
