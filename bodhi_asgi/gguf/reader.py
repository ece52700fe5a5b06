"""Reads a GGUF header, versions 2 and 3, in either byte order, believing nothing that it says of its own lengths.

Text arrays (a vocabulary has hundreds of thousands) are walked over and not kept, so that the memory a header takes is
bounded by the limits here and not by the file.
"""

import mmap
import struct
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.gguf.types import Array, GgufHeader, GgufInvalid, Scalar, Tensor, Value

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
MAX_PAIRS: Final = 65_535
MAX_TENSORS: Final = 65_535
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
MAX_NAME_BYTES: Final = 65_535
MAX_ARRAY: Final = 16 * 1024 * 1024
KEPT: Final = 1024
MAX_DIMENSIONS: Final = 4
DEFAULT_ALIGNMENT: Final = 32
MAX_ALIGNMENT: Final = 65_536

TEXT: Final = 8
ARRAY: Final = 9
BOOL: Final = 7
FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d"}
"""Of the metadata's value types, by their number in the file, as :mod:`struct` names them."""


def read_header(path: Path) -> GgufHeader:
    """The header of a model file. Raises GgufInvalid, and OSError where the file cannot be read."""
    with path.open("rb") as file:
        try:
            # Mapped, not read: skipping costs nothing, and a header has no length that could be asked for.
            view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:
            raise GgufInvalid("the file is empty") from None
        with view:
            return parse_header(view)


def parse_header(data: "mmap.mmap | bytes") -> GgufHeader:
    """The header that ``data`` begins with. Raises GgufInvalid."""
    return _Cursor(data).header()


class _Cursor:
    def __init__(self, data: "mmap.mmap | bytes") -> None:
        self._data = data
        self._size = len(data)
        self._place = 0
        self._order = "<"
        self._what = "the head"

    def header(self) -> GgufHeader:
        if self._take(4) != MAGIC:
            raise GgufInvalid("it does not begin with the mark of the GGUF format")
        version = self._number("I")
        if version & 0xFFFF == 0 and version:
            self._order = ">"
            version = struct.unpack(">I", struct.pack("<I", version))[0]
        if version not in VERSIONS:
            raise GgufInvalid(f"it is of GGUF version {version}; 2 and 3 can be read")
        tensors, pairs = self._number("Q"), self._number("Q")
        if tensors > MAX_TENSORS or pairs > MAX_PAIRS:
            raise GgufInvalid(f"its counts are impossible ({tensors} tensors, {pairs} pairs of metadata)")
        metadata = self._metadata(pairs)
        infos = self._tensors(tensors)
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        if type(alignment) is not int or not 8 <= alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise GgufInvalid("its alignment is no power of two between 8 and 65,536")
        data_offset = -(-self._place // alignment) * alignment
        return GgufHeader(version, self._order == ">", metadata, infos, data_offset)

    def _metadata(self, pairs: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for index in range(pairs):
            self._what = f"the metadata's key {index + 1} of {pairs}"
            key = self._text(MAX_NAME_BYTES)
            self._what = f"the metadata under '{key[:64]}'"
            if key in found:
                raise GgufInvalid(f"{self._what} stands there twice")
            found[key] = self._value()
        return found

    def _value(self) -> Value:
        kind = self._number("I")
        if kind == ARRAY:
            return self._array()
        return self._scalar(kind)

    def _scalar(self, kind: int) -> Scalar:
        if kind == TEXT:
            return self._text(MAX_TEXT_BYTES)
        if kind not in FORMATS:
            raise GgufInvalid(f"{self._what} is of the unknown type {kind}")
        value: Scalar = self._number(FORMATS[kind])
        return bool(value) if kind == BOOL else value

    def _array(self) -> Array:
        kind, length = self._number("I"), self._number("Q")
        if length > MAX_ARRAY:
            raise GgufInvalid(f"{self._what} has {length} entries, and no more than {MAX_ARRAY} are read")
        if kind == TEXT:
            for _ in range(length):
                self._skip(self._number("Q"))
            return Array(length, is_text=True)
        if kind not in FORMATS:
            raise GgufInvalid(f"{self._what} is an array of the unknown type {kind}")
        layout = f"{self._order}{length}{FORMATS[kind]}"
        if length > KEPT:
            self._skip(struct.calcsize(layout))
            return Array(length, is_text=False)
        return Array(length, is_text=False, values=struct.unpack(layout, self._take(struct.calcsize(layout))))

    def _tensors(self, count: int) -> tuple[Tensor, ...]:
        found: dict[str, Tensor] = {}
        for index in range(count):
            self._what = f"tensor {index + 1} of {count}"
            name = self._text(MAX_NAME_BYTES)
            if name in found:
                raise GgufInvalid(f"the tensor '{name[:64]}' stands there twice")
            dimensions = self._number("I")
            if dimensions > MAX_DIMENSIONS:
                raise GgufInvalid(f"the tensor '{name[:64]}' has {dimensions} dimensions, and no more than 4 may be")
            shape = tuple(self._number("Q") for _ in range(dimensions))
            found[name] = Tensor(name, shape, self._number("I"), self._number("Q"))
        return tuple(found.values())

    def _text(self, limit: int) -> str:
        length = self._number("Q")
        if length > limit:
            raise GgufInvalid(f"{self._what} is a text of {length} bytes, and no more than {limit} are read")
        return self._take(length).decode("utf-8", "replace")

    def _number(self, layout: str) -> Any:
        size = struct.calcsize(f"={layout}")
        (value,) = struct.unpack(self._order + layout, self._take(size))
        return value

    def _take(self, size: int) -> bytes:
        begin = self._place
        self._skip(size)
        return self._data[begin : self._place]

    def _skip(self, size: int) -> None:
        if size > self._size - self._place:
            raise GgufInvalid(f"it ends in the middle of {self._what}")
        self._place += size
