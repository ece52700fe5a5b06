"""What a model can be asked for, told from its header: before it is loaded, or even fetched."""

from dataclasses import dataclass, fields

from bodhi_asgi.engine.families.table import reads_tools, recognise
from bodhi_asgi.gguf.facts import GgufFacts


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``completion``: it writes; ``tools``: its template shows tools (to others they are described in words);
    ``thinking``: it was taught to think first; ``vision`` and ``audio``: with the projector beside it; ``infill``: it
    fills gaps in a text; ``embedding`` and ``rerank``: it was made for that, and does not write."""

    completion: bool = False
    tools: bool = False
    thinking: bool = False
    vision: bool = False
    audio: bool = False
    infill: bool = False
    embedding: bool = False
    rerank: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are there."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name))


def capabilities_of(facts: GgufFacts, projector: GgufFacts | None = None) -> Capabilities:
    """Of a model, with the facts of the projector that belongs to it."""
    if facts.kind != "model":
        return Capabilities()
    if facts.pooling or not facts.is_causal:
        # As the engine has it: a model that looks both ways, or pools, cannot write.
        return Capabilities(embedding=facts.pooling in ("mean", "cls", "last"), rerank=facts.pooling == "rank")
    templates = (facts.chat_template, *(text for _, text in facts.templates))
    families = [(template, recognise(template)) for template in templates if template]
    return Capabilities(
        completion=True,
        tools=any(reads_tools(template, family) for template, family in families),
        thinking=any(family.thinking is not None for _, family in families),
        vision=projector is not None and projector.reads_images,
        audio=projector is not None and projector.reads_sound,
        infill=facts.fills_gaps,
    )
