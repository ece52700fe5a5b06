"""The interpreter and the system it runs on."""

import platform
import struct
import sys
from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, Final

from bodhi_asgi import __version__
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.types import Finding, ok, warning

CHECK: Final = "python"
CLASSIFIER: Final = "Programming Language :: Python :: 3."


def examine(_: Case) -> list[Finding]:
    """Whether this version of Python is one of those every commit is tested with."""
    return [about(sys.version_info[:3], 8 * struct.calcsize("P"), minors_tested())]


def about(version: tuple[int, ...], bits: int, tested: list[int]) -> Finding:
    """A version of Python with pointers of so many bits, against the ``x`` of each tested 3.x (none: unknown)."""
    told = ".".join(map(str, version))
    found = f"bodhi_asgi {__version__} on Python {told}, {platform.system()} {platform.release()} {platform.machine()}"
    facts: dict[str, Any] = {
        "version": told,
        "bodhi_asgi": __version__,
        "system": platform.system(),
        "machine": platform.machine(),
        "bits": bits,
    }
    if bits < 64:
        return warning(CHECK, f"{found}, {bits} bits", "Use a 64-bit Python; models do not fit into 2 GB.", **facts)
    if tested and version[1] not in tested:
        advice = f"Use one of the versions it is tested with: {', '.join(f'3.{minor}' for minor in tested)}."
        return warning(CHECK, f"{found}, a version it is not tested with", advice, **facts)
    return ok(CHECK, found, **facts)


def minors_tested() -> list[int]:
    """The ``x`` of each Python 3.x that the installed distribution declares; none when it is not installed as one."""
    try:
        classifiers = metadata("bodhi-asgi").get_all("Classifier") or []
    except PackageNotFoundError:
        return []
    return sorted(int(line.removeprefix(CLASSIFIER)) for line in classifiers if line.startswith(CLASSIFIER))
