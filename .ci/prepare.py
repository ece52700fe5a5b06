"""Makes ``.venv`` ready from nothing but Python and a C++ compiler; a second run with nothing to do takes a second.

The lock holds everything except llama-cpp-python, which publishes no wheels where the lock can name them. Its version
is pinned in ``pyproject.toml``; the wheel comes from our own cache, else from that project's wheel index when it can be
reached, else from source. Standard library only, because this runs before anything is installed.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  this runs before any installer could have checked
    sys.exit(f"bodhi_asgi needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try: make PYTHON=python3.12")

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = "uv==0.13.9"
PACKAGE = "llama-cpp-python"
WHEELS = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bodhi_asgi" / "wheels"
WHEEL_INDEX = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
INDEX_TIMEOUT_S = 4
NINJA_STEP = re.compile(r"\[(\d+)/(\d+)\]")


def say(line: str) -> None:
    print(f"prepare: {line}", flush=True)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """One run at a time in ``folder``. The lock is on the folder itself, so nothing is left behind."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run is busy in {folder}; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def run(*command: str | Path, **extra_environment: str) -> None:
    """Run to success, or end with the command's own words."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **extra_environment}, check=False)
    if done.returncode:
        sys.exit(f"prepare: failed: {' '.join(map(str, command))}")


def sync() -> None:
    """The virtual environment, uv inside it, and everything in the lock."""
    if not PYTHON.exists():
        say("making .venv")
        run(sys.executable, "-m", "venv", VENV)
    if not (VENV / "bin" / "uv").exists():
        run(PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV)
    say("installing what uv.lock names")
    run(
        *(VENV / "bin" / "uv", "sync", "--quiet", "--frozen", "--inexact", "--all-extras"),
        *("--no-install-package", PACKAGE, "--python", PYTHON),
        UV_PROJECT_ENVIRONMENT=str(VENV),
        UV_PYTHON_DOWNLOADS="never",
    )


def pinned_version() -> str:
    """The exact version that the extra ``llama`` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (pin,) = (line for line in project["optional-dependencies"]["llama"] if line.startswith(PACKAGE))
    return str(pin.partition("==")[2])


def works(version: str) -> bool:
    """Whether the installed library is the pinned one and really loads."""
    probe = f"import llama_cpp; llama_cpp.llama_backend_init(); assert llama_cpp.__version__ == {version!r}"
    return subprocess.run([PYTHON, "-c", probe], capture_output=True, check=False).returncode == 0


def installs(wheel: Path, version: str) -> bool:
    command = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--no-deps", "--reinstall", "--python", PYTHON, wheel]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0 and works(version)


def llama(version: str) -> None:
    """Install llama-cpp-python: from the cache, from its wheel index, or built here."""
    if works(version):
        return
    WHEELS.mkdir(parents=True, exist_ok=True)
    with held(WHEELS):
        for wheel in sorted(WHEELS.glob(f"llama_cpp_python-{version}-*.whl")):
            if installs(wheel, version):
                say(f"{PACKAGE} {version} from the cache")
                return
            say(f"the cached {wheel.name} does not work here; getting another one")
            wheel.unlink()
        with tempfile.TemporaryDirectory(prefix="llama-wheel-", dir=WHEELS) as scratch:
            wheel = prebuilt(version, Path(scratch))
            if wheel is not None and installs(wheel, version):
                say(f"{PACKAGE} {version} from {WHEEL_INDEX}")
            else:
                wheel = built(version, Path(scratch) / "built")
                if not installs(wheel, version):
                    sys.exit(f"prepare: {wheel.name} was built and does not load; see the compiler's output")
            wheel.replace(WHEELS / wheel.name)


def prebuilt(version: str, folder: Path) -> Path | None:
    """A wheel of the project itself, or ``None`` when its index does not answer within seconds or has none for us."""
    try:
        urllib.request.urlopen(f"{WHEEL_INDEX}/{PACKAGE}/", timeout=INDEX_TIMEOUT_S).close()
    except (urllib.error.URLError, OSError):
        return None
    command = [PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder]
    command += ["--retries", "0", "--timeout", "20", "--index-url", WHEEL_INDEX, f"{PACKAGE}=={version}"]
    found = subprocess.run(command, capture_output=True, check=False)
    return next(folder.glob("*.whl"), None) if found.returncode == 0 else None


def built(version: str, folder: Path) -> Path:
    """Compile the wheel, telling how far it is."""
    if not any(map(shutil.which, ("c++", "g++", "clang++"))):
        sys.exit("prepare: building llama.cpp needs a C++ compiler; install g++ or clang and run this again")
    say(f"building {PACKAGE} {version} from source: 4 to 10 minutes on 2 cores, once; the wheel is kept in {WHEELS}")
    environment = dict(os.environ)
    if environment.get("CI"):  # a wheel from there may be reused on another processor
        environment["CMAKE_ARGS"] = f"{environment.get('CMAKE_ARGS', '')} -DGGML_NATIVE=OFF".strip()
    command = [PYTHON, "-m", "pip", "wheel", "-v", "--no-deps", "--no-binary", PACKAGE, "--wheel-dir", folder]
    started = time.monotonic()
    last: list[str] = []
    with subprocess.Popen(
        [*command, f"{PACKAGE}=={version}"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as building:
        assert building.stdout is not None
        for line in building.stdout:
            last = [*last[-40:], line]
            show_progress(line, time.monotonic() - started)
    if building.returncode:
        sys.exit("".join(last) + "\nprepare: the build of llama.cpp failed; its last words stand above")
    return next(folder.glob("*.whl"))


def show_progress(line: str, seconds: float) -> None:
    """Ninja's own count, every step on a terminal and every tenth of the way in a log."""
    step = NINJA_STEP.search(line)
    if step is None:
        return
    done, total = int(step[1]), int(step[2])
    told = f"prepare: llama.cpp [{done}/{total}] {int(seconds // 60)}m{int(seconds % 60):02d}s"
    if sys.stdout.isatty():
        print(f"\r{told}", end="\n" if done == total else "", flush=True)
    elif done * 10 // total != (done - 1) * 10 // total:
        print(told, flush=True)


def main() -> None:
    with held(ROOT):
        sync()
        llama(pinned_version())
        (VENV / ".ready").touch()


if __name__ == "__main__":
    main()
