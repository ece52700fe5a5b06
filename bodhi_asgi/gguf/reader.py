"""Reads a GGUF header, versions 2 and 3, in either byte order, believing nothing that it says of its own lengths.

Text arrays (a vocabulary has hundreds of thousands) are walked over and not kept, and a file is read window by window:
the memory and the time that a header takes are bounded by the limits here and not by the file.
"""

import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from bodhi_asgi.gguf.types import DEFAULT_ALIGNMENT, Array, GgufHeader, GgufInvalid, Scalar, Tensor, Value

MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
MAX_HEADER_BYTES: Final = 64 * 1024 * 1024
"""Of everything before the weights; those of the largest vocabularies have a quarter of it."""

MAX_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of all that a header leaves in memory: keys, texts, names of tensors, short arrays."""

MAX_PAIRS: Final = 65_535
MAX_TENSORS: Final = 65_535
MAX_TEXT_BYTES: Final = 4 * 1024 * 1024
MAX_NAME_BYTES: Final = 65_535
MAX_ARRAY: Final = 16 * 1024 * 1024
MAX_TEXTS: Final = 4 * 1024 * 1024
"""Of all text arrays together: the largest vocabulary has a million with its merges."""

KEPT: Final = 1024
NUMBER_BYTES: Final = 32
"""What a kept number is counted as, whatever its width in the file."""

MAX_DIMENSIONS: Final = 4
MAX_ALIGNMENT: Final = 65_536
WINDOW: Final = 256 * 1024

TEXT: Final = 8
ARRAY: Final = 9
BOOL: Final = 7
FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d"}
"""Of the metadata's value types, by their number in the file, as :mod:`struct` names them."""

Source: TypeAlias = Callable[[int, int], bytes | bytearray]
"""The bytes from one place to another; fewer where there are no more."""


@dataclass(frozen=True, slots=True)
class MoreNeeded:
    """The beginning of a file is too short to hold its header, which has at least so many bytes."""

    bytes: int


def read_header(path: Path) -> GgufHeader:
    """The header of a model file. Blocking. Raises GgufInvalid, and OSError where the file cannot be read."""
    # Whoever opens a pipe waits for another to write.
    if not stat.S_ISREG(path.stat().st_mode):
        raise GgufInvalid("it is no regular file")
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, 2)
        if not size:
            raise GgufInvalid("the file is empty")

        def source(begin: int, end: int) -> bytes:
            # Read and not mapped: a file that is cut short meanwhile would end the process.
            file.seek(begin)
            return file.read(end - begin)

        return _Cursor(source, size).header()


def parse_header(data: bytes | bytearray) -> GgufHeader:
    """The header that ``data``, a whole file or all of its header, begins with. Raises GgufInvalid."""
    return _Cursor(lambda begin, end: data[begin:end], len(data)).header()


def parse_prefix(prefix: bytes | bytearray, file_bytes: int) -> GgufHeader | MoreNeeded:
    """The header of a file of which only the beginning is there, or how much more of it there must be to go on.

    Every answer asks for more than ``prefix`` has, and never for more than the file or :data:`MAX_HEADER_BYTES`; each
    call reads from the beginning, so the prefix should grow by factors. Raises GgufInvalid.
    """
    try:
        return _Cursor(lambda begin, end: prefix[begin:end], file_bytes, there=len(prefix)).header()
    except _Cut as cut:
        return MoreNeeded(cut.needed)


class _Cut(Exception):
    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


class _Cursor:
    """Goes through a header once. Of ``size`` bytes, ``there`` can be read already."""

    def __init__(self, source: Source, size: int, *, there: int | None = None) -> None:
        self._source = source
        self._size = size
        self._there = min(size, size if there is None else there, MAX_HEADER_BYTES)
        self._window: bytes | bytearray = b""
        self._begin = 0
        self._place = 0
        self._kept = 0
        self._walked = 0
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
        return GgufHeader(version, self._order == ">", metadata, infos, data_offset, alignment)

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
            self._skip_texts(length)
            return Array(length, is_text=True)
        if kind not in FORMATS:
            raise GgufInvalid(f"{self._what} is an array of the unknown type {kind}")
        layout = f"{self._order}{length}{FORMATS[kind]}"
        size = struct.calcsize(layout)
        if length > KEPT:
            self._skip(size)
            return Array(length, is_text=False)
        self._keep(length * NUMBER_BYTES)
        return Array(length, is_text=False, values=struct.unpack(layout, self._take(size)))

    def _skip_texts(self, count: int) -> None:
        """Walk over so many texts. Most of a header's time passes in the inner loop."""
        self._walked += count
        if self._walked > MAX_TEXTS:
            raise GgufInvalid(f"its arrays have more than {MAX_TEXTS} texts together")
        length_at = struct.Struct(f"{self._order}Q").unpack_from
        while count:
            self._look(8)
            window, place, last = self._window, self._place - self._begin, len(self._window) - 8
            for walked in range(1, count + 1):  # noqa: B007
                place += 8 + length_at(window, place)[0]
                if place > last:
                    break
            count -= walked
            self._skip(self._begin + place - self._place)

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
        self._keep(length)
        return self._take(length).decode("utf-8", "replace")

    def _keep(self, size: int) -> None:
        self._kept += size
        if self._kept > MAX_KEPT_BYTES:
            raise GgufInvalid(f"its texts and names have more than {MAX_KEPT_BYTES} bytes together")

    def _number(self, layout: str) -> Any:
        (value,) = struct.unpack(self._order + layout, self._take(struct.calcsize(f"={layout}")))
        return value

    def _take(self, size: int) -> bytes | bytearray:
        self._look(size)
        begin = self._place - self._begin
        self._place += size
        return self._window[begin : begin + size]

    def _look(self, size: int) -> None:
        """Have the next ``size`` bytes in the window."""
        end = self._place + size
        if end <= self._begin + len(self._window):
            return
        self._reach(end)
        self._begin = self._place
        self._window = self._source(self._begin, min(self._there, max(end, self._begin + WINDOW)))
        if len(self._window) < size:
            raise self._ended()

    def _skip(self, size: int) -> None:
        self._reach(self._place + size)
        self._place += size

    def _reach(self, end: int) -> None:
        """Raises unless everything up to ``end`` can be there, and is."""
        if end <= self._there:
            return
        if end > self._size:
            raise self._ended()
        if end > MAX_HEADER_BYTES:
            raise GgufInvalid(f"its header has more than {MAX_HEADER_BYTES} bytes, as far as {self._what}")
        raise _Cut(end)

    def _ended(self) -> GgufInvalid:
        return GgufInvalid(f"it ends in the middle of {self._what}")
