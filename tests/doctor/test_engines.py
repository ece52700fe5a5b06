"""Models, engines and llama.cpp itself: whole, broken off, hanging, killed, and built for another processor."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.engine import Measured, examine, judge, not_answered
from bodhi_asgi.doctor.processor import FLAGS
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.process.election import take_lock
from bodhi_asgi.engine.process.runtime import open_private, runtime_directory
from tests.doctor.support import cut_off, examined, only, settings
from tests.engine.process.support import ECHO, nothing_is_left, paths_of
from tests.gguf.test_header import file, tensor

F32 = 0
LLAMA = {"runner": "llama", "n_ctx": 512, "threads": 1}


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[ProcessEngine]:
    """A running engine of a server whose data directory is ``tmp_path``."""
    place = runtime_directory(tmp_path)
    running = ProcessEngine(ECHO, runtime_dir=place, linger_s=0, start_timeout_s=30)
    await running.start()
    yield running
    if running.pid is not None:
        os.kill(running.pid, signal.SIGCONT)
    await running.aclose(terminate=True)
    await nothing_is_left(place)


async def test_the_demo_model_is_loaded_measured_and_unloaded(tmp_path: Path) -> None:
    before = set(runtime_directory(tmp_path).parent.glob("*"))
    diagnosis = await examined(settings(tmp_path, engine=LLAMA), with_engine=True)
    found = only(diagnosis, "engine", "demo")
    assert found.status == "ok"
    assert "Paris" in str(found.facts["answer"])
    assert found.facts["n_ctx"] == 512
    for name in ("load_s", "first_token_s", "tokens_per_s"):
        value = found.facts[name]
        assert isinstance(value, float)
        assert value > 0
    assert only(diagnosis, "models", "demo").facts["size_bytes"] == DEMO_MODEL_PATH.stat().st_size
    assert set(runtime_directory(tmp_path).parent.glob("*")) == before


async def test_a_model_file_that_was_cut_off_fails_to_the_eye_and_to_the_engine(tmp_path: Path) -> None:
    half = cut_off(tmp_path, 100_000)
    config = settings(tmp_path / "data", engine=LLAMA, models={"half": str(half)})
    diagnosis = await examined(config, model="half")
    for check in ("models", "engine"):
        found = only(diagnosis, check, "half")
        assert (found.status, str(half) in found.found) == ("failed", True)
        assert found.advice
    assert only(diagnosis, "models", "demo").status == "ok"


async def test_a_model_whose_file_is_not_there_is_a_failure_that_names_the_place(tmp_path: Path) -> None:
    config = settings(tmp_path, engine=LLAMA, models={"gone": str(tmp_path / "gone.gguf")})
    diagnosis = await examined(config, model="gone")
    assert str(tmp_path / "gone.gguf") in only(diagnosis, "models", "gone").found
    assert only(diagnosis, "engine", "gone").status == "failed"


async def test_a_model_that_lacks_a_part_is_a_failure(tmp_path: Path) -> None:
    first = tmp_path / "split-00001-of-00002.gguf"
    first.write_bytes(DEMO_MODEL_PATH.read_bytes())
    found = only(await examined(settings(tmp_path, engine=LLAMA, models={"split": str(first)})), "models", "split")
    assert (found.status, "split-00002-of-00002.gguf" in found.found) == ("failed", True)


async def test_a_model_beyond_what_engines_may_take_has_failed_however_much_is_free(tmp_path: Path) -> None:
    config = settings(tmp_path, engine={**LLAMA, "memory_bytes": 1_000_000})
    found = only(await examined(config), "memory", "demo")
    assert (found.status, "1.0 MB is all that engines may take" in found.found) == ("failed", True)
    assert "engine.memory_bytes" in found.advice


async def test_the_memory_of_a_context_grows_with_its_tokens(tmp_path: Path) -> None:
    small = only(await examined(settings(tmp_path, engine={**LLAMA, "n_ctx": 1024})), "memory", "demo")
    large = only(await examined(settings(tmp_path, engine={**LLAMA, "n_ctx": 4096})), "memory", "demo")
    assert (small.status, large.status) == ("ok", "ok")
    assert large.facts["kv_bytes"] == 4 * int(str(small.facts["kv_bytes"]))


async def test_a_model_larger_than_the_machine_is_a_failure(tmp_path: Path) -> None:
    huge = tmp_path / "huge.gguf"
    head = file(tensors=[tensor("token_embd.weight", (2**20, 2**20), F32, 0)])
    huge.write_bytes(head)
    os.truncate(huge, len(head) + 2**42)  # four terabytes of nothing, which take no space
    found = only(await examined(settings(tmp_path, engine=LLAMA, models={"huge": str(huge)})), "memory", "huge")
    assert found.status == "failed"
    assert "needs about 4.4 TB: 4.4 TB of weights" in found.found


async def test_an_engine_that_runs_is_told_and_left_alone(engine: ProcessEngine, tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path)), "runtime", "engines")
    assert found.status == "ok"
    assert f"'echo' (pid {engine.pid})" in found.found
    assert (await engine.stats()).slots_total == ECHO.slots
    assert engine.state == "ready"


async def test_an_engine_that_hangs_is_a_warning_with_its_process(engine: ProcessEngine, tmp_path: Path) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGSTOP)
    findings = (await examined(settings(tmp_path))).of("runtime", "engines")
    os.kill(engine.pid, signal.SIGCONT)
    (hung,) = [finding for finding in findings if finding.status == "warning"]
    assert "does not answer" in hung.found
    assert hung.advice.endswith(f"kill {engine.pid}")


async def test_an_engine_that_was_killed_is_told_with_its_log(engine: ProcessEngine, tmp_path: Path) -> None:
    assert engine.pid is not None
    pid = engine.pid
    os.kill(pid, signal.SIGKILL)
    await nothing_is_left(runtime_directory(tmp_path))
    findings = (await examined(settings(tmp_path))).of("runtime", "engines")
    (left,) = [finding for finding in findings if finding.status == "warning"]
    assert f"1 engine ended without tidying up, killed or crashed: 'echo' (pid {pid})" in left.found
    assert ".log" in left.advice


async def test_an_engine_of_another_version_or_data_directory_is_told(engine: ProcessEngine, tmp_path: Path) -> None:
    ready = paths_of(runtime_directory(tmp_path), ECHO).ready
    ready.write_text(json.dumps({**json.loads(ready.read_text()), "version": "0.0.1"}), "utf-8")
    old, here = (await examined(settings(tmp_path))).of("runtime", "engines")[::-1]
    assert (old.status, "is of version 0.0.1" in old.found) == ("warning", True)
    elsewhere = (await examined(settings(tmp_path / "other"))).of("runtime", "engines")[0]
    assert f"for other data directories or versions: 'echo' (pid {engine.pid})" in elsewhere.found
    assert (here.status, elsewhere.status) == ("ok", "ok")


async def test_a_lock_that_somebody_holds_without_serving_is_a_warning(tmp_path: Path) -> None:
    place = runtime_directory(tmp_path)
    open_private(place)
    lock = take_lock(paths_of(place, ECHO).lock)
    assert lock is not None
    findings = (await examined(settings(tmp_path))).of("runtime", "engines")
    os.close(lock)
    assert "'unknown' (pid unknown) holds its lock and does not answer" in findings[1].found
    assert len((await examined(settings(tmp_path))).of("runtime", "engines")) == 1


async def test_a_runtime_directory_that_is_too_long_for_sockets_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("long" * 20)
    long.mkdir()
    assert only(await examined(settings(tmp_path)), "runtime", "socket path").status == "ok"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    found = only(await examined(settings(tmp_path)), "runtime", "socket path")
    assert (found.status, "too long" in found.found) == ("warning", True)


async def test_in_a_thread_there_is_no_engine_to_meet(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path, engine={"isolation": "thread"}))
    assert only(diagnosis, "runtime").status == "skipped"


async def test_without_models_there_is_nothing_to_start(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path, demo=False, engine=LLAMA), with_engine=True)
    assert only(diagnosis, "models").found == only(diagnosis, "engine").found == "no model is offered"
    assert (only(diagnosis, "models").status, only(diagnosis, "engine").status) == ("warning", "skipped")


async def test_an_answer_that_takes_too_long_is_a_failure_and_the_engine_is_ended(tmp_path: Path) -> None:
    config = settings(tmp_path)
    case = Case(config, time_limit_s=0.000_001)
    (found,) = await examine(case)
    assert (found.status, "did not answer within 1e-06 s" in found.found) == ("failed", True)


@pytest.mark.parametrize(
    ("measured", "status", "told"),
    [
        (Measured(1.0, 0.1, 20, 30.0, "hello", 512, 1), "ok", "first token after 100.0 ms, 20 tokens, 30 tokens/s"),
        (Measured(1.0, 0.1, 20, 2.9, "hello", 512, 1), "warning", "3 tokens/s"),
        (Measured(1.0, 0.1, 1, None, "hello", 512, 1), "ok", "too short an answer to tell its speed"),
        (Measured(1.0, 0.1, 0, None, "", 512, 1), "warning", "it said nothing"),
    ],
    ids=["quick", "slow", "short", "silent"],
)
def test_an_engine_is_judged_by_what_it_said_and_how_fast(measured: Measured, status: str, told: str) -> None:
    found = judge("m", measured)
    assert (found.status, told in found.found) == (status, True)


def test_what_an_engine_said_last_is_told_once() -> None:
    assert not_answered("m", "it ended", "out of memory").found == "it ended (out of memory)"
    assert not_answered("m", "it ended: out of memory", "out of memory").found == "it ended: out of memory"


async def test_a_runtime_directory_that_others_may_enter_is_a_failure(tmp_path: Path) -> None:
    place = runtime_directory(tmp_path)
    place.mkdir(parents=True, mode=0o700)
    place.chmod(0o755)
    found = only(await examined(settings(tmp_path)), "runtime", "directory")
    place.rmdir()
    assert (found.status, "mode 755" in found.found) == ("failed", True)


async def test_llama_is_asked_in_a_process_of_its_own(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path))
    assert only(diagnosis, "llama", "version").status == "ok"
    assert only(diagnosis, "llama", "cpu").facts["used"]
    assert only(diagnosis, "llama", "gpu").facts["offload"] in (True, False)
    code = (
        "import asyncio, json, sys\n"
        "from bodhi_asgi import diagnose\n"
        "asyncio.run(diagnose(with_engine=False))\n"
        "print(json.dumps('llama_cpp' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False


@pytest.mark.parametrize(
    ("body", "told", "advice"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "it was built for another processor than this one",
            "Build it on this machine",
        ),
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file')",
            "(exit code 1): ImportError: libgomp.so.1: cannot open shared object file",
            "the library it misses",
        ),
    ],
    ids=["another processor", "a library is missing"],
)
async def test_a_llama_that_cannot_be_loaded_is_told_with_its_cure(
    body: str, told: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "path" / "llama_cpp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(body, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    found = only(await examined(settings(tmp_path)), "llama")
    assert (found.status, told in found.found, advice in found.advice) == ("failed", True, True)


OTHER_BUILD = """
__version__ = "0.0.1"
def llama_print_system_info(): return b"CUDA : ARCHS = 890 | CPU : {features} | LLAMAFILE = 1 | "
def llama_supports_gpu_offload(): return True
"""


@pytest.mark.parametrize(("layers", "status"), [(0, "warning"), (-1, "ok"), (20, "ok")])
async def test_another_build_is_told_by_version_features_and_gpu(
    layers: int, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "path" / "llama_cpp"
    package.mkdir(parents=True)
    features = " | ".join(f"{name} = 1" for name in FLAGS.values())
    (package / "__init__.py").write_text(OTHER_BUILD.format(features=features), "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    diagnosis = await examined(settings(tmp_path, engine={"n_gpu_layers": layers}))
    version = only(diagnosis, "llama", "version")
    assert (version.status, version.facts["version"]) == ("warning", "0.0.1")
    assert version.advice == f"Run: pip install llama-cpp-python=={version.facts['wanted']}"
    assert only(diagnosis, "llama", "cpu").status == "ok"
    gpu = only(diagnosis, "llama", "gpu")
    assert (gpu.status, gpu.facts["offload"], gpu.facts["n_gpu_layers"]) == (status, True, layers)


async def test_layers_for_a_gpu_that_the_build_does_not_have_are_a_warning(tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path, engine={"n_gpu_layers": -1})), "llama", "gpu")
    assert (found.status == "ok") == bool(found.facts["offload"])


def test_what_a_missing_extra_would_give_and_what_the_settings_need_of_it(tmp_path: Path) -> None:
    code = f"""
import sys
for name in ("llama_cpp", "asyncpg", "prometheus_client", "uvicorn"):
    sys.modules[name] = None
import asyncio, json
from bodhi_asgi import BodhiServerConfig, diagnose
config = BodhiServerConfig(data_dir={str(tmp_path)!r}, database_url="postgresql://db/notes", enable_http=True)
print(json.dumps(asyncio.run(diagnose(config)).as_json()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = {(row["check"], row["subject"]): row for row in json.loads(done.stdout)["findings"]}
    for extra in ("llama", "postgres", "server"):
        assert rows["extras", extra]["status"] == "failed"
        assert rows["extras", extra]["advice"] == f"Run: pip install 'bodhi-asgi[{extra}]'"
    assert rows["extras", "metrics"]["status"] == "skipped"
    assert "serves the metrics for Prometheus" in rows["extras", "metrics"]["found"]
    assert rows["extras", "metrics"]["advice"] == "If you want that: pip install 'bodhi-asgi[metrics]'"
    for check in ("database", "llama", "engine"):
        assert rows[check, None]["status"] == "skipped"
