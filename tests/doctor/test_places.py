"""Folders, files, disks and ports with real faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bodhi_asgi.doctor.holder import holder_of
from bodhi_asgi.http.listener import bind
from tests.doctor.support import examined, only, settings

LISTENER = (
    "import socket\n"
    "with socket.socket() as taken:\n"
    "    taken.bind(('127.0.0.1', 0))\n"
    "    taken.listen()\n"
    "    print(taken.getsockname()[1], flush=True)\n"
    "    input()\n"
)


async def test_a_data_directory_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = only(await examined(settings(tmp_path / "file" / "data")), "permissions", "data_dir")
    assert (found.status, found.facts["exists"]) == ("failed", False)
    assert "is not a folder" in found.found


async def test_a_data_directory_that_is_not_there_yet_is_well_and_is_not_made(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path / "new" / "data"))
    assert only(diagnosis, "permissions", "data_dir").status == "ok"
    assert only(diagnosis, "database").facts["exists"] is False
    assert only(diagnosis, "database").status == "ok"
    assert list(tmp_path.iterdir()) == []


async def test_a_data_directory_that_others_may_enter_is_a_warning_with_its_cure(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)
    (data / "bodhi.db").touch(mode=0o644)
    data.chmod(0o755)
    diagnosis = await examined(settings(data))
    found = only(diagnosis, "permissions", "data_dir")
    assert (found.status, found.facts["mode"], found.advice) == ("warning", "0755", f"Run: chmod 700 '{data}'")
    assert only(diagnosis, "permissions", "database").advice == f"Run: chmod 600 '{data / 'bodhi.db'}'"
    data.chmod(0o700)
    diagnosis = await examined(settings(data))
    assert only(diagnosis, "permissions", "data_dir").status == "ok"
    assert only(diagnosis, "permissions", "database").status == "ok"
    assert [file.name for file in data.iterdir() if not file.name.startswith("bodhi.db")] == []


def run_within(limit: str, data: Path) -> str:
    """The doctor's lines from a process of its own that a shell has put under ``limit``."""
    doctor = f"{sys.executable} -m bodhi_asgi doctor --no-engine --data-dir {data}"
    # Whoever measures coverage writes files, which the limit would break.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    command = ["sh", "-c", f"{limit} && exec {doctor}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1, done.stderr + done.stdout
    assert done.stderr == ""
    return done.stdout


def test_a_place_where_writing_fails_is_a_failure_whatever_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    told = run_within("ulimit -f 1", tmp_path)  # no file may grow beyond a block
    assert f"failed\tpermissions:data_dir\twriting into {tmp_path} fails: File too large" in told


def on_a_disk_of_its_own(options: str, folder: Path) -> list[str]:
    """The doctor's lines, with ``folder`` a mount that only its process sees, and that ends with it."""
    mount = f"mount -t tmpfs -o {options} tmpfs {folder}"
    tried = f"command -v unshare && unshare -rm sh -c '{mount}'"
    if subprocess.run(["sh", "-c", tried], capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    doctor = f"{sys.executable} -m bodhi_asgi doctor --no-engine --data-dir {folder}"
    command = ["unshare", "-rm", "sh", "-c", f"{mount} && exec {doctor}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == any(line.startswith("failed") for line in lines), done.stderr
    return lines


@pytest.mark.parametrize(("room", "status"), [("64k", "failed"), ("500m", "warning"), ("2g", "ok")])
def test_a_disk_with_little_space_is_a_warning_and_with_next_to_none_a_failure(
    room: str, status: str, tmp_path: Path
) -> None:
    lines = on_a_disk_of_its_own(f"mode=700,size={room}", tmp_path)
    (line,) = [line for line in lines if "\tdisk:data_dir\t" in line]
    assert line.startswith(f"{status}\t")
    assert f" at {tmp_path}" in line


def test_a_disk_without_room_for_one_more_file_is_a_failure(tmp_path: Path) -> None:
    lines = on_a_disk_of_its_own("mode=700,size=2g,nr_inodes=1", tmp_path)
    (line,) = [line for line in lines if "\tdisk:data_dir\t" in line]
    assert line.startswith("failed\t")
    assert "no inodes left" in line


def test_a_disk_that_only_reads_is_a_failure(tmp_path: Path) -> None:
    lines = on_a_disk_of_its_own("mode=700,ro", tmp_path)
    (line,) = [line for line in lines if "\tpermissions:data_dir\t" in line]
    assert line.startswith(f"failed\tpermissions:data_dir\t{tmp_path} cannot be written by this user")


async def test_a_taken_port_is_told_with_who_has_it(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", LISTENER], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        found = only(await examined(settings(tmp_path, bind_address=f"127.0.0.1:{port}")), "port")
        other.communicate("\n")
    assert found.status == "failed"
    if sys.platform == "linux":
        assert found.facts["holder_pid"] == other.pid
        assert f"(pid {other.pid})" in found.found
    assert "bind_address" in found.advice


@pytest.mark.skipif(sys.platform != "linux", reason="who listens is known on Linux only")
async def test_a_server_of_ours_on_the_port_is_a_warning_that_names_it(tmp_path: Path) -> None:
    program = tmp_path / "bodhi"
    program.write_text(LISTENER, "utf-8")
    secrets = ["--token=abc", "postgresql://ada:lovelace@db/notes", "password=abc"]
    with subprocess.Popen([sys.executable, program, *secrets, "serve"], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        found = only(await examined(settings(tmp_path, bind_address=f"127.0.0.1:{port}")), "port")
        other.communicate("\n")
    assert (found.status, found.facts["holder"]) == ("warning", f"{Path(sys.executable).name} bodhi serve")
    assert found.advice.endswith(f"kill {other.pid}")


async def test_a_port_of_our_own_process_is_well(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        found = only(await examined(settings(tmp_path, bind_address=f"127.0.0.1:{port}")), "port")
    if sys.platform == "linux":
        assert (found.status, found.facts["holder_pid"] is not None) == ("ok", True)
    assert holder_of(port) is None


async def test_an_address_of_another_machine_is_a_failure(tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path, bind_address="192.0.2.1:1135")), "port")
    assert (found.status, "192.0.2.1" in found.found) == ("failed", True)
    assert only(await examined(settings(tmp_path, bind_address="127.0.0.1:0")), "port").status == "ok"
