"""The lock: one holder at a time, freed by any death, and what only the holder may put in place."""

import hashlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bodhi_asgi.engine.process.election import EXIT_LOST_ELECTION, announce, is_held, listen, new_secret, take_lock

HOLDER = """
import sys
from pathlib import Path
from bodhi_asgi.engine.process.election import take_lock
print("held" if take_lock(Path(sys.argv[1])) is not None else "lost", flush=True)
sys.stdin.read()
"""


def test_there_is_one_holder_and_any_death_frees_the_lock(short_dir: Path) -> None:
    path = short_dir / "m.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdin is not None
    assert holder.stdout is not None
    with holder:
        assert holder.stdout.readline() == "held\n"
        assert take_lock(path) is None
        assert is_held(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        assert not is_held(path)
        lock = take_lock(path)
        assert lock is not None
        os.close(lock)
    assert not is_held(short_dir / "never.lock")
    assert not (short_dir / "never.lock").exists()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_candidate_that_finds_the_lock_taken_leaves_with_seventeen(short_dir: Path) -> None:
    lock = take_lock(short_dir / "m.lock")
    assert lock is not None
    reading, writing = os.pipe()
    os.write(writing, json.dumps({"lock": str(short_dir / "m.lock")}).encode())
    os.close(writing)
    loser = subprocess.run(
        [sys.executable, "-m", "bodhi_asgi.engine", str(reading)], pass_fds=(reading,), check=False, timeout=20
    )
    os.close(reading)
    os.close(lock)
    assert loser.returncode == EXIT_LOST_ELECTION == 17


def test_a_link_in_place_of_the_lock_is_not_followed(short_dir: Path) -> None:
    (short_dir / "m.lock").symlink_to(short_dir / "elsewhere")
    with pytest.raises(OSError, match=r"[Ss]ymbolic link"):
        take_lock(short_dir / "m.lock")
    assert not (short_dir / "elsewhere").exists()


def test_the_secret_is_new_each_time_and_readable_by_its_owner_only(short_dir: Path) -> None:
    path = short_dir / "m.secret"
    path.write_bytes(b"left over")
    path.chmod(0o644)
    first = new_secret(path)
    assert path.read_bytes() == first
    assert len(first) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert new_secret(path) != first


def test_the_socket_takes_the_place_of_an_earlier_engine_s(short_dir: Path) -> None:
    path = short_dir / "m.sock"
    listen(path).close()
    assert path.exists()
    with listen(path), socket.socket(socket.AF_UNIX) as host:
        host.connect(str(path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_socket_that_cannot_be_bound_leaves_nothing_open(short_dir: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        listen(short_dir / "missing" / "m.sock")


def test_the_announcement_is_whole_and_private(short_dir: Path) -> None:
    path = short_dir / "m.ready.json"
    announce(path, {"pid": 1, "secret_sha256": hashlib.sha256(b"s").hexdigest()})
    announce(path, {"pid": 2})
    assert json.loads(path.read_bytes()) == {"pid": 2}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in short_dir.iterdir()] == ["m.ready.json"]
