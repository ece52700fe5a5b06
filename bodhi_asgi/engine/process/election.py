"""Who among the candidates becomes the engine: the one that gets the lock. Standard library only, for a quick loser.

The kernel frees the lock on any death, so there are no pid files and no stale locks. Only its holder unlinks and binds
the socket. The lock file itself stays: removing it would let two processes hold "the" lock, one on each file.
"""

import json
import os
import secrets
import socket
from pathlib import Path
from typing import Any, Final

try:
    import fcntl
except ImportError:  # Windows, where the pool refuses to have engines in processes
    fcntl = None  # type: ignore[assignment]

EXIT_LOST_ELECTION: Final = 17
"""The exit code of a candidate that found an engine in office."""

SECRET_BYTES: Final = 32

_PRIVATE: Final = 0o600


def take_lock(path: Path) -> int | None:
    """Take the lock for as long as this process lives, or return None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_held(path: Path) -> bool:
    """Whether an engine holds the lock. Looked at as a reader, so that several may look at once."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def new_secret(path: Path) -> bytes:
    """Make the secret of this launch, readable by this user only. It must stand before the socket is bound."""
    secret = secrets.token_bytes(SECRET_BYTES)
    write_private(path, secret)
    return secret


def listen(path: Path) -> socket.socket:
    """Bind the engine's socket in place of whatever an earlier engine left there. The lock must be held."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(_PRIVATE)
        listener.listen(128)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def announce(path: Path, facts: dict[str, Any]) -> None:
    """Write ``ready.json``, whole or not at all."""
    write_private(path, json.dumps(facts).encode())


def write_private(path: Path, data: bytes) -> None:
    """Replace ``path`` in one step with a file of mode 0600."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    fresh.replace(path)
