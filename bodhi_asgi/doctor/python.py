"""The interpreter and the system it runs on."""

import platform
import struct
import sys
from importlib.metadata import PackageNotFoundError, metadata
from typing import Final

from bodhi_asgi import __version__
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.types import Finding, ok, warning

CHECK: Final = "python"
CLASSIFIER: Final = "Programming Language :: Python :: 3."


def examine(_: Case) -> list[Finding]:
    """Whether this version of Python is one of those every commit is tested with."""
    version = platform.python_version()
    system = f"{platform.system()} {platform.release()} on {platform.machine()}"
    found = f"bodhi_asgi {__version__} on Python {version}, {system}"
    facts = {"version": version, "system": platform.system(), "machine": platform.machine(), "bodhi_asgi": __version__}
    if struct.calcsize("P") < 8:
        return [warning(CHECK, f"{found}, with 32 bits", "Use a 64-bit Python; models do not fit into 2 GB.", **facts)]
    tested = minors_tested()
    if tested and sys.version_info[1] not in tested:
        told = ", ".join(f"3.{minor}" for minor in tested)
        advice = f"Use one of the versions it is tested with: {told}."
        return [warning(CHECK, f"{found}, a version it is not tested with", advice, **facts)]
    return [ok(CHECK, found, **facts)]


def minors_tested() -> list[int]:
    """The ``x`` of each Python 3.x that the installed distribution declares; none when it is not installed as one."""
    try:
        classifiers = metadata("bodhi-asgi").get_all("Classifier") or []
    except PackageNotFoundError:
        return []
    return sorted(int(line.removeprefix(CLASSIFIER)) for line in classifiers if line.startswith(CLASSIFIER))
