"""Reads what a file's header tells, and brings it into the form that is kept and out of it again. Blocking."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields, replace
from typing import Any, Final, TypeAlias

from bodhi_asgi.gguf.facts import GgufFacts, facts_of
from bodhi_asgi.gguf.parts import read_model
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.shelf.types import Description, LocalFile

READING: Final = 1
"""Counts up when more is read of a header, so that what is kept of earlier readings is read anew."""

MAX_TEXT: Final = 512
MAX_TEMPLATE: Final = 64 * 1024
MAX_INT: Final = 2**63 - 1

Capable: TypeAlias = Callable[[GgufFacts, GgufFacts | None], Iterable[str]]
"""What a model can do, by its facts and its projector's."""


def described(file: LocalFile, capable: Capable) -> Description:
    """What the headers of a file, and of the projector beside it, tell. Raises nothing for any content of the file."""
    try:
        facts = _kept(facts_of(*read_model(file.path)))
    except GgufInvalid as invalid:
        return Description(problem=invalid.message[:MAX_TEXT].replace("\0", "�"))
    except OSError as error:
        return Description(problem=f"it cannot be read ({error.strerror or type(error).__name__})")
    return Description(facts, tuple(capable(facts, _projector(file))))


def to_kept(facts: GgufFacts) -> dict[str, Any]:
    """As JSON."""
    return asdict(facts)


def from_kept(data: Mapping[str, Any]) -> GgufFacts | None:
    """As facts again; None where none are kept, or where they lack what cannot be left out."""
    known = {field.name for field in fields(GgufFacts)}
    values = {name: value for name, value in data.items() if name in known and name != "templates"}
    try:
        return GgufFacts(**values)
    except TypeError:
        return None


def _projector(file: LocalFile) -> GgufFacts | None:
    if not file.projector:
        return None
    depth = file.filename.count("/")
    path = file.path.parents[depth] / file.projector
    try:
        return facts_of(*read_model(path))
    except (GgufInvalid, OSError):
        return None


def _kept(facts: GgufFacts) -> GgufFacts:
    """Without what databases do not hold, and without what is out of all proportion."""
    values: dict[str, Any] = {"templates": ()}
    for field in fields(facts):
        value = getattr(facts, field.name)
        if isinstance(value, str):
            most = MAX_TEMPLATE if field.name == "chat_template" else MAX_TEXT
            text = value.replace("\0", "�").encode("utf-8", "replace").decode()
            # Half a template is none.
            values[field.name] = text[:most] if most == MAX_TEXT else text * (len(text) <= most)
        elif isinstance(value, int) and not isinstance(value, bool):
            values[field.name] = max(-MAX_INT, min(value, MAX_INT))
    return replace(facts, **values)
