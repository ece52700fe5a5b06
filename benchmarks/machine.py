"""What a benchmark needs to know of the machine: what it is, who else uses it, what processes cost. Linux only."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
MIB: Final = 1024 * 1024
BUSY_FIELDS: Final = (0, 2, 5, 6, 7)
"""Of a line ``cpu`` in /proc/stat: user, system, irq, softirq, steal. Steal is somebody else's work too."""
NICE_FIELD: Final = 1


def describe() -> str:
    """Processor, cores and memory in one line, the same on every day."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", (PROC / "cpuinfo").read_text(), re.MULTILINE)
    kernel = os.uname()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    name = cpu[1] if cpu else kernel.machine
    return f"{name}, {os.cpu_count()} cores, {memory_gib:.0f} GiB, {kernel.sysname} {kernel.release.split('-')[0]}"


def busy_ticks(stat: str) -> tuple[int, int]:
    """The ticks of all cores together at normal and at low priority, of the text of /proc/stat."""
    fields = stat.splitlines()[0].split()[1:]
    return sum(int(fields[index]) for index in BUSY_FIELDS), int(fields[NICE_FIELD])


@dataclass(frozen=True, slots=True)
class ProcessTicks:
    """A process's parent and the ticks of itself and of the children it has waited for."""

    parent: int
    ticks: int


def process_ticks(stat: str) -> ProcessTicks:
    """Of the text of /proc/PID/stat, whose second field may hold anything but ends with the last bracket."""
    fields = stat.rpartition(")")[2].split()
    return ProcessTicks(parent=int(fields[1]), ticks=sum(map(int, fields[11:15])))


def family(processes: dict[int, ProcessTicks], root: int) -> set[int]:
    """``root`` and all that descend from it."""
    members = {root}
    while True:
        more = {pid for pid, process in processes.items() if process.parent in members} - members
        if not more:
            return members
        members |= more


def _processes() -> dict[int, ProcessTicks]:
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                found[int(folder.name)] = process_ticks((folder / "stat").read_text())
            except OSError:
                continue  # it has ended meanwhile
    return found


def family_of(root: int) -> set[int]:
    """A process and all it has started that still runs, engines included."""
    return family(_processes(), root)


def cpu_s(pids: set[int]) -> float:
    """Seconds of processor that these processes have used."""
    processes = _processes()
    return sum(processes[pid].ticks for pid in pids if pid in processes) / TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Others:
    """The shares of all cores, 0 to 1, that went to other processes: at normal priority, and at low priority.

    Low priority gives way to us when both want a core, so it disturbs only through caches and memory.
    """

    normal: float = 0.0
    low: float = 0.0


class LoadWatch:
    """How much of the machine others take: all that was busy, less what this process and its children used."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self._before = self._read()

    def others(self) -> Others:
        """What others took since :meth:`begin`; a run that is itself at low priority counts as the others do."""
        at, normal, low, own = self._before
        now, normal_now, low_now, own_now = self._read()
        cores = (now - at) * TICKS_PER_S * (os.cpu_count() or 1)
        if cores <= 0:
            return Others()
        if os.nice(0) > 0:
            return Others(normal=max(0.0, (normal_now + low_now - normal - low - own_now + own) / cores))
        return Others(max(0.0, (normal_now - normal - own_now + own) / cores), (low_now - low) / cores)

    def _read(self) -> tuple[float, int, int, int]:
        processes = _processes()
        own = sum(processes[pid].ticks for pid in family(processes, os.getpid()))
        uptime_s = float((PROC / "uptime").read_text().split()[0])
        return uptime_s, *busy_ticks((PROC / "stat").read_text()), own


@dataclass(frozen=True, slots=True)
class Memory:
    """Of one process, in MiB: all it maps, its fair share of what it shares, and what it alone has."""

    rss: float
    pss: float
    private: float


def memory(pid: int) -> Memory:
    """What a process holds now."""
    fields = dict.fromkeys(("Rss", "Pss", "Private_Clean", "Private_Dirty"), 0)
    for line in (PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in fields:
            fields[name] = int(rest.split()[0]) * 1024
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return Memory(fields["Rss"] / MIB, fields["Pss"] / MIB, private / MIB)


def peak_rss_mib(pid: int) -> float:
    """The most a process has held at once."""
    found = re.search(r"^VmHWM:\s*(\d+)", (PROC / str(pid) / "status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def command_line(pid: int) -> str:
    """How a process was started; empty when it has ended."""
    try:
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
