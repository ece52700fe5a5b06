"""llama.cpp as a library: begun once in a process, its log, which is one for all models, and what it says of itself."""

import ctypes
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import llama_cpp

log = logging.getLogger("bodhi_asgi.engine.llama")

LEVELS: Final = {2: logging.DEBUG, 3: logging.WARNING, 4: logging.ERROR}
META_BYTES: Final = 512

_once = threading.Lock()
_is_initialised = False
_last_errors: list[str] = []


def initialise() -> None:
    """Begin with llama.cpp, unless this process has; and forget what went wrong before."""
    global _is_initialised
    with _once:
        if not _is_initialised:
            llama_cpp.llama_log_set(LOG, None)
            llama_cpp.llama_backend_init()
            _is_initialised = True
    _last_errors.clear()


def reason() -> str:
    """What it has said last of what went wrong."""
    return "; ".join(_last_errors[-2:]) or "llama.cpp gave no reason"


def metadata_of(model: Any) -> dict[str, str]:
    """What a model's file says of it."""
    found = {}
    for index in range(llama_cpp.llama_model_meta_count(model)):
        key = _text(partial(llama_cpp.llama_model_meta_key_by_index, model, index))
        found[key] = _text(partial(llama_cpp.llama_model_meta_val_str_by_index, model, index))
    return found


def description_of(model: Any) -> str:
    """A model in some words: its architecture, size and quantisation."""
    return _text(partial(llama_cpp.llama_model_desc, model))


def _text(read: Callable[[Any, int], int]) -> str:
    """Text that llama.cpp writes into a buffer, asked for again when the first buffer was too small."""
    buffer = ctypes.create_string_buffer(META_BYTES)
    size = read(buffer, META_BYTES)
    if size >= META_BYTES:
        buffer = ctypes.create_string_buffer(size + 1)
        read(buffer, size + 1)
    return buffer.value.decode(errors="replace")


def _on_log(level: int, text: bytes, _: Any) -> None:
    line = text.decode(errors="replace").strip()
    severity = LEVELS.get(level, logging.DEBUG)
    if severity >= logging.ERROR and line:
        del _last_errors[:-3]
        _last_errors.append(line)
    # llama.cpp calls ordinary reports errors; what matters is raised by us with its text.
    if line:
        log.debug("%s", line)


# Referenced for the life of the process: llama.cpp keeps calling it.
LOG: Final = llama_cpp.llama_log_callback(_on_log)
