"""The private directory where hosts and engines meet: who may enter it, and what each file in it is called.

``$XDG_RUNTIME_DIR/bodhi/<hash>`` or ``<tempdir>/bodhi-<uid>/<hash>``, mode 0700, owner and mode checked each time it is
opened. The hash names data directory, user, protocol and version, so that whoever shares those shares engines.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from bodhi_asgi import __version__
from bodhi_asgi.engine.process.protocol import PROTOCOL_VERSION
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.gguf.parts import parts
from bodhi_asgi.gguf.types import GgufInvalid

SOCKET_PATH_BYTES: Final = 100
"""The system's own limit is 108 on Linux and 104 on macOS."""

_NAME_LENGTH: Final = 16


def runtime_directory(data_dir: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The directory for ``data_dir``, on which all processes of a user agree. Nothing is created."""
    key = "\n".join((os.path.realpath(data_dir), str(os.getuid()), str(PROTOCOL_VERSION), __version__))
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:_NAME_LENGTH]
    candidates = [root / name for root in _roots(os.environ if environ is None else environ)]
    return next((path for path in candidates if _fits(path)), candidates[-1])


def _roots(environ: Mapping[str, str]) -> Iterator[Path]:
    ours = environ.get("XDG_RUNTIME_DIR", "")
    # After `su` the variable still names the other user's directory; the specification says to ignore it then.
    if ours and Path(ours).is_dir() and Path(ours).stat().st_uid == os.getuid():
        yield Path(ours) / "bodhi"
    yield Path(tempfile.gettempdir()) / f"bodhi-{os.getuid()}"
    yield Path("/tmp") / f"bodhi-{os.getuid()}"  # noqa: S108 - shared, hence the checks of open_private


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory)) + 1 + _NAME_LENGTH + len(".sock") <= SOCKET_PATH_BYTES


def open_private(directory: Path) -> None:
    """Create ``directory`` and the one above it where missing; refuse either when others could reach into it.

    Raises ConfigurationInvalid for a path too long for a socket, a link, a foreign owner, or an open mode.
    """
    if not _fits(directory):
        raise ConfigurationInvalid(
            f"the runtime directory '{directory}' is too long for a socket path; set XDG_RUNTIME_DIR to a shorter one"
        )
    try:
        directory.parent.parent.mkdir(parents=True, exist_ok=True)
        _check_parent(directory.parent)
        _make_private(directory)
    except OSError as error:
        raise ConfigurationInvalid(
            f"the runtime directory '{directory}' cannot be used: {error.strerror}; set XDG_RUNTIME_DIR to a "
            "directory of your own"
        ) from error


def _make_private(directory: Path) -> None:
    found = _enter(directory)
    if found.st_uid != os.getuid():
        raise ConfigurationInvalid(
            f"the runtime directory '{directory}' belongs to another user (uid {found.st_uid}); set XDG_RUNTIME_DIR "
            "to a directory of your own"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationInvalid(
            f"the runtime directory '{directory}' is open to others (mode {stat.S_IMODE(found.st_mode):o}); "
            f"run: chmod 700 '{directory}'"
        )


def _check_parent(directory: Path) -> None:
    # Whoever may rename inside the parent could put a directory of his own in our place.
    found = _enter(directory)
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid not in (0, os.getuid()) or (mode & 0o022 and not mode & stat.S_ISVTX):
        raise ConfigurationInvalid(
            f"'{directory}' can be changed by other users, so no runtime directory can lie in it; set XDG_RUNTIME_DIR "
            "to a directory of your own"
        )


def _enter(directory: Path) -> os.stat_result:
    made = False
    try:
        directory.mkdir(mode=0o700)
        made = True
    except FileExistsError:
        pass
    # Opened without following links and looked at through the descriptor, so that nothing can be swapped in between.
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if made:
            os.fchmod(descriptor, 0o700)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def spec_key(spec: ModelSpec) -> str:
    """Names the spec and the state of its files, so that a replaced file is loaded by a new engine."""
    others = (spec.projector, spec.speculation.path, *(adapter.path for adapter in spec.adapters))
    files = [_state(part) for path in (spec.path, *filter(None, others)) for part in _parts(Path(path))]
    return hashlib.sha256(orjson.dumps([spec, files])).hexdigest()[:_NAME_LENGTH]


def _parts(path: Path) -> list[Path]:
    try:
        return parts(path)
    except GgufInvalid:
        return [path]  # one is missing, and whoever loads it says so


def _state(path: Path) -> list[str | int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [os.path.realpath(path), found.st_size, found.st_mtime_ns]


@dataclass(frozen=True, slots=True)
class EnginePaths:
    """The files of one model's engine inside the runtime directory."""

    directory: Path
    key: str

    @property
    def lock(self) -> Path:
        """Held with ``flock`` as long as the engine lives. Never unlinked, see :mod:`election`."""
        return self.directory / f"{self.key}.lock"

    @property
    def socket(self) -> Path:
        return self.directory / f"{self.key}.sock"

    @property
    def secret(self) -> Path:
        return self.directory / f"{self.key}.secret"

    @property
    def ready(self) -> Path:
        """Who serves the socket, as JSON: pid, versions, model, and the memory it takes once loaded."""
        return self.directory / f"{self.key}.ready.json"

    @property
    def log(self) -> Path:
        """What the engine wrote to standard error."""
        return self.directory / f"{self.key}.log"
