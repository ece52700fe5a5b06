"""A model's card: what ``bodhi show`` prints of it, section by section. Pure functions over what is known of it."""

from typing import TYPE_CHECKING, Final, TypeAlias

from bodhi_asgi.cli.engines import size
from bodhi_asgi.gguf.facts import GgufFacts, count_label
from bodhi_asgi.gguf.fit import Fit
from bodhi_asgi.gguf.types import printable

if TYPE_CHECKING:
    from bodhi_asgi.models.details import ModelDetails, ModelFile

Section: TypeAlias = tuple[str, list[tuple[str, str]]]
"""A heading and its rows; a row without a value is a line of its own."""

KINDS: Final = {"model": "Model", "projector": "Projector", "adapter": "Adapter", "other": "File"}
MAX_TEXT: Final = 2000


def card_lines(card: "ModelDetails") -> list[str]:
    """The card for a terminal, indented as a list of sections."""
    lines: list[str] = []
    for heading, rows in sections(card):
        wide = max((len(label) for label, value in rows if value), default=0)
        lines += [f"  {heading}"]
        lines += [f"    {label:<{wide}}    {value}" if value else f"    {label}" for label, value in rows]
        lines += [""]
    return lines


def sections(card: "ModelDetails") -> list[Section]:
    """The sections that have anything to say."""
    facts = card.facts
    found: list[Section] = [(KINDS[facts.kind], _of_file(card))]
    if len(card.files) > 1:
        found.append(("Files", [(printable(file.name, MAX_TEXT), size(file.size_bytes)) for file in card.files]))
    if card.capabilities:
        found.append(("Capabilities", [(name, "") for name in card.capabilities]))
    if card.projector is not None:
        found.append(("Projector", [*_numbers(card.projector), *_of_projector(card.projector_file)]))
    if card.fit is not None and facts.kind == "model":
        found.append(("Memory", _memory(card.fit)))
    for heading, values in (("Parameters", card.parameters), ("Settings", card.settings)):
        if values:
            found.append((heading, [(name, printable(str(value), MAX_TEXT)) for name, value in sorted(values.items())]))
    if card.system:
        found.append(("System", [(printable(line, MAX_TEXT), "") for line in card.system.splitlines()]))
    if facts.licence:
        found.append(("Licence", [(facts.licence, "")]))
    return found


def _of_file(card: "ModelDetails") -> list[tuple[str, str]]:
    facts = card.facts
    rows = [("name", card.name or facts.name), *_numbers(facts)]
    if facts.vocabulary:
        rows.append(("vocabulary", f"{facts.vocabulary:,} ({facts.tokenizer or 'unknown'})"))
    if facts.chat_template:
        rows.append(("chat template", f"{len(facts.chat_template):,} characters"))
    if card.files:
        is_split = len(card.files) > 1
        rows.append(("files", str(len(card.files))) if is_split else ("file", printable(card.files[0].name, MAX_TEXT)))
    if card.size_bytes:
        rows.append(("size", size(card.size_bytes)))
    order = ", big-endian" if facts.is_big_endian else ""
    rows.append(("format", f"GGUF {facts.version}{order}" if facts.version else ""))
    return [(label, value) for label, value in rows if value]


def _of_projector(file: "ModelFile | None") -> list[tuple[str, str]]:
    return [("file", printable(file.name, MAX_TEXT)), ("size", size(file.size_bytes))] if file else []


def _numbers(facts: GgufFacts) -> list[tuple[str, str]]:
    packing = f"{facts.quantisation} ({facts.bits_per_weight:.2f} bits per weight)" if facts.quantisation else ""
    heads = f"{facts.heads}" + (f" ({facts.kv_heads} of keys and values)" if facts.kv_heads != facts.heads else "")
    experts = f"{facts.experts} ({facts.experts_used} at a time)" if facts.experts else ""
    rows = [
        ("architecture", facts.architecture),
        ("parameters", count_label(facts.parameters) if facts.parameters else ""),
        ("quantisation", packing),
        ("context length", f"{facts.context_length:,}" if facts.context_length else ""),
        ("embedding length", f"{facts.embedding_length:,}" if facts.embedding_length else ""),
        ("layers", str(facts.layers or "")),
        ("heads", heads if facts.heads else ""),
        ("experts", experts),
        ("pooling", facts.pooling),
    ]
    return [(label, value) for label, value in rows if value]


def _memory(fit: Fit) -> list[tuple[str, str]]:
    verdict = "fits" if fit.fits else "does not fit"
    return [
        ("weights", size(fit.weight_bytes)),
        *([("projector", size(fit.projector_bytes))] if fit.projector_bytes else []),
        (f"{fit.context_tokens:,} tokens", size(fit.cache_bytes)),
        ("together", f"{size(fit.total_bytes)} of {size(fit.budget_bytes)}: {verdict}"),
    ]
