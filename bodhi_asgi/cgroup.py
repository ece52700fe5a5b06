"""What the control groups of this process allow: the tightest limit on the way from our own group to the root.

Versions 1 and 2, also both at once, as systemd's hybrid layout has them. In a container the path the kernel tells may
be the host's; then the group is the root of what is mounted. See cgroups(7).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
UNLIMITED_BYTES: Final = 2**60
"""Version 1 writes "no limit" as the largest number of pages."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """``limit_bytes`` for the group, and ``used_bytes`` of it, without what can be dropped at once."""

    limit_bytes: int
    used_bytes: int


def memory_limit(proc: Path = PROC) -> MemoryLimit | None:
    """The group with the least room for memory at this moment, or None when there is no limit."""
    return min(memory_limits(proc), key=lambda limit: limit.limit_bytes - limit.used_bytes, default=None)


def memory_limits(proc: Path = PROC) -> list[MemoryLimit]:
    """Of every group that has one, innermost first."""
    found = []
    for directory in groups("memory", proc):
        for limit_name, usage_name, cached_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(directory / limit_name)
            if limit is not None and limit < UNLIMITED_BYTES:
                used = (_number(directory / usage_name) or 0) - _stat(directory / "memory.stat", cached_name)
                found.append(MemoryLimit(limit, max(0, used)))
    return found


def cpu_quota(proc: Path = PROC) -> float | None:
    """How many cores the groups leave us, as a fraction if need be; None when there is no limit."""
    found = []
    for directory in groups("cpu", proc):
        quota, _, period = _text(directory / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit():
            found.append(int(quota) / int(period))
        quota_us, period_us = _number(directory / "cpu.cfs_quota_us"), _number(directory / "cpu.cfs_period_us")
        if quota_us is not None and quota_us > 0 and period_us:
            found.append(quota_us / period_us)
    return min(found, default=None)


def groups(controller: str, proc: Path = PROC) -> Iterator[Path]:
    """The directories of our group and of those above it, in every hierarchy that may hold ``controller``."""
    ours = {}
    for line in _text(proc / "self/cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0" or controller in controllers.split(","):
            ours[controller if number != "0" else ""] = path.lstrip("/")
    for kind, root, mount in _mounts(controller, proc):
        if kind not in ours:
            continue
        # What is mounted may begin below the root of the hierarchy.
        group = Path("/") / ours[kind]
        inside = group.relative_to(root) if group.is_relative_to(root) else Path()
        own = mount / inside
        directory = own if own.is_dir() else mount
        while True:
            yield directory
            if directory == mount:
                break
            directory = directory.parent


def _mounts(controller: str, proc: Path) -> Iterator[tuple[str, Path, Path]]:
    """Hierarchy (empty for version 2), the part of it that is mounted, and where."""
    for line in _text(proc / "self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(" ")[:3]  # what is mounted may be an empty word
        if kind == "cgroup2":
            yield "", Path(fields[3]), Path(fields[4])
        elif kind == "cgroup" and controller in options.split(","):
            yield controller, Path(fields[3]), Path(fields[4])


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    text = _text(file)
    return int(text) if text.lstrip("-").isdigit() else None


def _stat(file: Path, name: str) -> int:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
