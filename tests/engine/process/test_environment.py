"""What an engine process is given of its host, and what it gives up."""

import os
import socket
import sys
from pathlib import Path

import pytest

from bodhi_asgi.engine.process.launch import environment, interpreter, launch
from bodhi_asgi.engine.process.runtime import EnginePaths, open_private
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import ConfigurationInvalid
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, paths_of

CANARY = "canary-7f3b"


def test_the_environment_is_an_allow_list(tmp_path: Path) -> None:
    host = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": "/lib",
        "CUDA_VISIBLE_DEVICES": "0",
        "HIP_VISIBLE_DEVICES": "1",
        "COVERAGE_PROCESS_START": "/cov",
        "PYTHONPATH": f"/host{os.pathsep}relative",
        **dict.fromkeys(("DATABASE_URL", "BODHI_DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "SECRET_KEY"), CANARY),
        **dict.fromkeys(("HOME", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "HF_TOKEN", "PYTHONSTARTUP"), CANARY),
        **dict.fromkeys(("MY_PATH", "PATH_SECRET", "LANGUAGE_KEY", "COVERAGE_SECRET", "LD_PRELOAD"), CANARY),
    }
    given = environment(host, home=tmp_path)
    assert CANARY not in repr(given)
    assert given.pop("PYTHONPATH").split(os.pathsep)[-1:] != ["relative"]
    assert given == {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "LD_LIBRARY_PATH": "/lib",
        "CUDA_VISIBLE_DEVICES": "0",
        "HIP_VISIBLE_DEVICES": "1",
        "COVERAGE_PROCESS_START": "/cov",
        "HOME": str(tmp_path),
        "GGML_NO_BACKTRACE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def proc(pid: int | None, name: str) -> str:
    """A file of /proc; empty where there is none, or where it is kept even from the owner, as it should be."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode("utf-8", "replace")
    except OSError:
        return ""


async def test_a_running_engine_holds_no_secret_and_little_else(
    make_engine: MakeEngine, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_DATABASE_URL", f"postgresql://u:{CANARY}@h/d")
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    with socket.socket() as listening, (runtime_dir.parent / "open").open("w") as file:
        os.set_inheritable(listening.fileno(), True)
        os.set_inheritable(file.fileno(), True)
        engine = make_engine(ECHO)
        await engine.start()
        pid = engine.pid
        for name in ("environ", "cmdline", "maps"):
            assert CANARY not in proc(pid, name)
        assert str(paths_of(runtime_dir, ECHO).key) not in proc(pid, "cmdline")
        limits = proc(pid, "limits")
        assert not limits or "Max core file size        0                    0" in limits
        assert not limits or "Max file size             67108864" in limits
        assert not (line := proc(pid, "stat")) or int(line.rpartition(")")[2].split()[16]) >= os.nice(0) + 5
        status = dict(line.split(":\t", 1) for line in proc(pid, "status").splitlines() if ":\t" in line)
        assert status.get("NoNewPrivs", "1") == "1"
        assert status.get("Umask", "0077") == "0077"
        assert proc(pid, "oom_score_adj").strip() in ("500", "1000", "")
        assert os.getsid(pid or 0) == pid
        home = Path(f"/proc/{pid}")
        if home.exists() and os.geteuid() == 0:
            links = {str(entry.readlink()) for entry in (home / "fd").iterdir()}
            assert str(file.name) not in links
            assert (home / "cwd").readlink() == runtime_dir
            assert str((home / "fd" / "0").readlink()) == "/dev/null"
            inode = f"socket:[{os.fstat(listening.fileno()).st_ino}]"
            assert inode not in links


def test_the_interpreter_is_found_where_a_server_embeds_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert interpreter() == sys.executable
    monkeypatch.setattr(sys, "executable", "/usr/sbin/apache2")
    assert Path(interpreter()).name == "python3"
    monkeypatch.setattr(sys, "prefix", "/nonexistent")
    with pytest.raises(ConfigurationInvalid, match="thread"):
        interpreter()


def test_where_no_process_can_be_started_the_error_says_what_to_set(
    runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_private(runtime_dir)
    monkeypatch.setattr(sys, "executable", "/nonexistent/python3")
    with pytest.raises(ConfigurationInvalid, match=r"engine\.isolation"):
        launch(ECHO, EnginePaths(runtime_dir, "k"))


def test_an_endless_model_name_is_refused(runtime_dir: Path) -> None:
    open_private(runtime_dir)
    with pytest.raises(ConfigurationInvalid, match="too long"):
        launch(ModelSpec("n" * 20_000, "p"), EnginePaths(runtime_dir, "k"))
