"""What the kernel tells of limits and processors, read from files like its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bodhi_asgi.cgroup import MemoryLimit, cpu_quota, groups, memory_limit
from bodhi_asgi.doctor.memory import Room, about_all, about_machine, about_model
from bodhi_asgi.doctor.processor import features_of_build, features_of_machine, physical_cores
from bodhi_asgi.doctor.python import about, minors_tested
from bodhi_asgi.doctor.sizes import duration, size
from bodhi_asgi.engine.budget import default_budget
from bodhi_asgi.engine.memory import ModelMemory
from tests.doctor.support import examined, only, settings

MB = 1000 * 1000


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", "utf-8")


def proc(root: Path, ours: str, mounts: str) -> Path:
    write(root, {"proc/self/cgroup": ours, "proc/self/mountinfo": mounts.replace("MNT", str(root / "mnt"))})
    (root / "mnt").mkdir(exist_ok=True)
    return root / "proc"


V2 = "31 23 0:26 / MNT rw,nosuid - cgroup2 cgroup2 rw"
V1 = "32 23 0:27 / MNT/memory rw - cgroup cgroup rw,memory\n33 23 0:28 / MNT/cpu rw - cgroup cgroup rw,cpu,cpuacct"


def test_the_tightest_limit_between_our_group_and_the_root_counts(tmp_path: Path) -> None:
    files = {
        "mnt/app/memory.max": f"{500 * MB}",
        "mnt/app/memory.current": f"{300 * MB}",
        "mnt/app/memory.stat": f"anon 1\ninactive_file {100 * MB}",
        "mnt/app/cpu.max": "150000 100000",
        "mnt/app/web/memory.max": "max",
        "mnt/app/web/cpu.max": "max 100000",
    }
    write(tmp_path, files)
    where = proc(tmp_path, "0::/app/web", V2)
    assert memory_limit(where) == MemoryLimit(500 * MB, 200 * MB)
    assert cpu_quota(where) == 1.5


def test_the_budget_is_taken_of_the_smallest_limit_and_not_of_the_fullest(tmp_path: Path) -> None:
    files = {
        "mnt/app/memory.max": f"{500 * MB}",
        "mnt/app/memory.current": f"{490 * MB}",
        "mnt/app/web/memory.max": f"{100 * MB}",
    }
    write(tmp_path, files)
    where = proc(tmp_path, "0::/app/web", V2)
    assert memory_limit(where) == MemoryLimit(500 * MB, 490 * MB)
    assert default_budget(where) == 80 * MB


def test_a_mount_of_nothing_does_not_confuse_what_follows_it(tmp_path: Path) -> None:
    write(tmp_path, {"mnt/memory.max": f"{256 * MB}"})
    where = proc(tmp_path, "0::/", f"30 23 0:25 / /empty rw - tmpfs  rw\n31 23 0:25 / /empty rw - tmpfs  rw\n{V2}")
    assert memory_limit(where) == MemoryLimit(256 * MB, 0)


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    files = {
        "mnt/memory/memory.limit_in_bytes": "9223372036854771712",
        "mnt/memory/job/memory.limit_in_bytes": f"{64 * MB}",
        "mnt/memory/job/memory.usage_in_bytes": f"{10 * MB}",
        "mnt/cpu/job/cpu.cfs_quota_us": "50000",
        "mnt/cpu/job/cpu.cfs_period_us": "100000",
        "mnt/cpu/cpu.cfs_quota_us": "-1",
    }
    write(tmp_path, files)
    where = proc(tmp_path, "4:memory:/job\n3:cpu,cpuacct:/job\n0::/", V1)
    assert memory_limit(where) == MemoryLimit(64 * MB, 10 * MB)
    assert cpu_quota(where) == 0.5


def test_in_a_container_the_path_of_the_host_is_not_there_and_the_mount_is_our_group(tmp_path: Path) -> None:
    write(tmp_path, {"mnt/memory.max": f"{256 * MB}", "mnt/cpu.max": "200000 100000"})
    where = proc(tmp_path, "0::/docker/0123", V2)
    assert memory_limit(where) == MemoryLimit(256 * MB, 0)
    assert list(groups("cpu", where)) == [tmp_path / "mnt"]
    assert cpu_quota(where) == 2.0


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert memory_limit(tmp_path) is None
    assert cpu_quota(tmp_path) is None


def test_features_are_told_by_the_names_of_llama(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nflags\t\t: fpu pni avx avx2 avx512f avx512_vnni fma\n", "utf-8")
    assert features_of_machine(cpuinfo) == {"SSE3", "AVX", "AVX2", "AVX512", "AVX512_VNNI", "FMA"}
    cpuinfo.write_text("Features\t: fp asimd asimddp i8mm\n", "utf-8")
    assert features_of_machine(cpuinfo) == {"NEON", "DOTPROD", "MATMUL_INT8"}
    assert features_of_machine(tmp_path / "none") is None
    assert features_of_build("CPU : SSE3 = 1 | AVX = 1 | AVX512 = 0 | LLAMAFILE = 1 | ") == {"SSE3", "AVX", "LLAMAFILE"}


def test_two_threads_of_one_core_are_one_core(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        write(tmp_path, {f"cpu{cpu}/topology/thread_siblings_list": siblings})
    assert physical_cores(tmp_path) == 2
    assert physical_cores(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("now", "status"), [(None, "ok"), (200 * MB, "ok"), (99 * MB, "warning")], ids=["unknown", "enough", "too little"]
)
def test_a_model_that_does_not_fit_at_this_moment_is_a_warning(now: int | None, status: str) -> None:
    model = ModelMemory("llama", 80 * MB, 80 * MB, 15 * MB, 5 * MB, 2048, "mmap")
    assert about_model("m", model, Room(1000 * MB, now)).status == status
    assert about_model("m", model, Room(99 * MB, now)).status == "failed"


def test_models_that_fit_one_by_one_and_not_together_are_a_warning() -> None:
    one = about_model("m", ModelMemory("llama", 80 * MB, 80 * MB, None, 0, 2048, "mmap"), Room(100 * MB, None))
    assert "an unknown amount for a context of 2048 tokens" in one.found
    assert about_all([one], Room(100 * MB, None)) == []
    assert about_all([one, one], Room(160 * MB, None)) == []
    (both,) = about_all([one, one], Room(159 * MB, None))
    assert (both.status, "160 MB" in both.found) == ("warning", True)


def test_the_room_is_what_the_machine_and_its_control_group_both_leave() -> None:
    room, found = about_machine(8000 * MB, 5000 * MB, None)
    assert (room, found.status) == (Room(8000 * MB, 5000 * MB), "ok")
    assert "no limit by a control group" in found.found
    room, found = about_machine(8000 * MB, 5000 * MB, MemoryLimit(2000 * MB, 500 * MB))
    assert (room, found.status) == (Room(2000 * MB, 1500 * MB), "ok")
    assert "the control group allows 2.0 GB, 1.5 GB of it left" in found.found
    room, found = about_machine(8000 * MB, None, MemoryLimit(2000 * MB, 1900 * MB))
    assert (room, found.status) == (Room(2000 * MB, 100 * MB), "warning")


def test_an_untested_python_and_one_of_32_bits_are_warnings() -> None:
    assert minors_tested() == [11, 12, 13]
    assert about((3, 11, 2), 64, [11, 12]).status == about((3, 11, 2), 64, []).status == "ok"
    assert about((3, 11, 2), 32, [11, 12]).advice.startswith("Use a 64-bit Python")
    untested = about((3, 99, 0), 64, [11, 12])
    assert (untested.status, untested.advice) == ("warning", "Use one of the versions it is tested with: 3.11, 3.12.")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system binds no process to processors")
def test_one_processor_for_host_and_engine_is_a_warning(tmp_path: Path) -> None:
    code = (
        "import asyncio, os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from bodhi_asgi import diagnose\n"
        "(found,) = asyncio.run(diagnose(with_engine=False)).of('threads')\n"
        "print(found.status, found.facts['usable'], found.facts['engine'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "warning 1 1\n"


async def test_more_threads_than_processors_are_a_warning(tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path, engine={"threads": 256})), "threads")
    assert (found.status, found.facts["logical"]) == ("warning", os.cpu_count())
    assert found.advice.startswith("Set engine.threads to ")


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 bytes"), (999, "999 bytes"), (1_500_000, "1.5 MB"), (271e9, "271 GB"), (5e15, "5000 TB")]
)
def test_sizes_read_as_on_the_box(count: float, told: str) -> None:
    assert size(count) == told


def test_durations_are_milliseconds_or_seconds() -> None:
    assert (duration(0.0042), duration(1.25)) == ("4.2 ms", "1.2 s")
