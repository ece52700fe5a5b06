"""Models in several files: ``name-00001-of-00003.gguf`` and its siblings are one."""

from collections.abc import Sequence
from pathlib import Path

from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.names import MAX_PARTS, part_of
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid


def parts(path: Path) -> list[Path]:
    """All files of the model that begins with ``path``, in order. Raises GgufInvalid when one is missing."""
    part = part_of(path.name)
    if part is None:
        return [path]
    if part.count > MAX_PARTS:
        raise GgufInvalid(f"it claims to have {part.count} parts, and no more than {MAX_PARTS} are read")
    files = [path.with_name(part.name(number)) for number in range(1, part.count + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise GgufInvalid(f"it lacks {len(missing)} of its {len(files)} parts, first '{missing[0]}'")
    return files


def read_model(path: Path) -> tuple[GgufHeader, ...]:
    """The headers of all files of a model, each checked, and with each other. Blocking.

    Raises GgufInvalid, and OSError where a file cannot be read.
    """
    headers = []
    for file in parts(path):
        header = read_header(file)
        check(header, file.stat().st_size)
        headers.append(header)
    check_parts(headers)
    return tuple(headers)


def check_parts(headers: Sequence[GgufHeader]) -> None:
    """Whether headers, in order, are those of one model. Raises GgufInvalid.

    Source: ``llama_model_loader`` of llama.cpp, which counts parts from 0.
    """
    first, *others = headers
    count = first.metadata.get("split.count", 1) or 1
    if first.metadata.get("split.no", 0) != 0:
        raise GgufInvalid("it is not the first part of its model")
    if count != len(headers):
        raise GgufInvalid(f"it says that it has {count} parts, and there are {len(headers)}")
    names = {tensor.name for tensor in first.tensors}
    for number, header in enumerate(others, start=1):
        if header.metadata.get("split.no") != number:
            raise GgufInvalid(f"part {number + 1} is not what its name says ('split.no')")
        for tensor in header.tensors:
            if tensor.name in names:
                raise GgufInvalid(f"the tensor '{tensor.name[:64]}' stands in two parts")
            names.add(tensor.name)
    told = first.metadata.get("split.tensors.count", len(names))
    if others and told != len(names):
        raise GgufInvalid(f"its parts have {len(names)} tensors, and it says that there are {told}")
