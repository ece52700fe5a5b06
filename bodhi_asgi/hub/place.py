"""Which cache this is, where several machines share a database: what one asks for must not land on another's disk.

A cache that several machines have mounted is one place, whatever they are called; so its name lies in the cache itself,
beside the locks, where huggingface_hub looks for nothing.
"""

import hashlib
import os
import platform
import re
import secrets
from pathlib import Path
from typing import Final

NAME: Final = re.compile(r"[0-9a-f]{32}")
MARK: Final = Path(".locks") / "bodhi_asgi.place"


def place_of(cache: Path, *, is_shared: bool) -> str:
    """The name of the place, 32 characters. ``is_shared`` where other machines may be at the same database. Blocking.

    A cache that cannot be written is known by its path and the name of the machine; nothing is fetched into it anyway.
    """
    where = os.path.realpath(cache)
    if not is_shared:
        return _hash(where)
    try:
        return _mark(cache / MARK)
    except OSError:
        return _hash(f"{platform.node()}\0{where}")


def _mark(path: Path) -> str:
    """What is written there; made by the first one who asks, of whom there may be several at once."""
    if (found := _read(path)) is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{secrets.token_hex(8)}.tmp")
    beside.write_text(secrets.token_hex(16), "ascii")
    try:
        os.link(beside, path)
    except FileExistsError:
        if _read(path) is None:
            beside.replace(path)  # there is something that is no name
    except OSError:  # there are no links here
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return _read(path) or _hash(str(path))


def _read(path: Path) -> str | None:
    try:
        text = path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeError):
        return None
    return text if NAME.fullmatch(text) else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]
