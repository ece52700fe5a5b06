"""Gets the programs we are compared with, into the user's cache and outside the checkout; builds run low and alone.

``python -m benchmarks.peer_builds`` makes all of them: ten minutes for llama-server, which is compiled from the very
sources that our own llama.cpp comes from, with the instruction set of its published wheels.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.random_model import CACHE

ROOT: Final = Path(__file__).resolve().parent.parent
WHEELS: Final = CACHE.parent / "wheels"
BINDINGS: Final = "llama-cpp-python"
XLLAMACPP: Final = "xllamacpp"
NICE: Final = 10
CMAKE_OPTIONS: Final = (
    *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=OFF"),
    *("-DLLAMA_BUILD_SERVER=ON", "-DLLAMA_BUILD_UI=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF"),
    *("-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_CURL=OFF", "-DLLAMA_OPENSSL=OFF"),
)


class CannotBeHad(Exception):
    """A contender that is not on this machine, with the reason in one line."""


def bindings_version() -> str:
    """The exact version of llama-cpp-python that the project pins, and so the llama.cpp that everybody runs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (pin,) = (line for line in project["optional-dependencies"]["llama"] if line.startswith(BINDINGS))
    return str(pin.partition("==")[2])


def llama_server() -> Path:
    """The built llama-server. Raises CannotBeHad when it was not built yet."""
    return _existing(CACHE / f"llama-server-{bindings_version()}" / "bin" / "llama-server")


def bindings_python() -> Path:
    """The interpreter with ``llama_cpp.server``. Raises CannotBeHad."""
    return _existing(_python(f"llama_cpp_server-{bindings_version()}"))


def xllamacpp_python() -> Path:
    """The interpreter with xllamacpp. Raises CannotBeHad."""
    return _existing(_python(XLLAMACPP))


def _existing(path: Path) -> Path:
    if not path.exists():
        raise CannotBeHad("not built here; python -m benchmarks.peer_builds does it")
    return path


def _python(name: str) -> Path:
    return CACHE / "venvs" / name / "bin" / "python"


def build_llama_server() -> None:
    """From the vendored tree in the source distribution of llama-cpp-python. Raises CannotBeHad."""
    version = bindings_version()
    folder = CACHE / "sources"
    tree = folder / f"llama_cpp_python-{version}"
    if not tree.exists():
        archive = folder / f"llama_cpp_python-{version}.tar.gz"
        if not archive.exists():
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", BINDINGS]
            _run(*pip, "--dest", str(folder), f"{BINDINGS}=={version}")
        with tarfile.open(archive) as packed:
            packed.extractall(folder, filter="data")
    target = CACHE / f"llama-server-{version}"
    _run("cmake", "-S", str(tree / "vendor" / "llama.cpp"), "-B", str(target), *CMAKE_OPTIONS)
    _run("cmake", "--build", str(target), "--target", "llama-server", "-j", "1")


def build_bindings_server() -> None:
    """``llama_cpp.server`` with its extra requirements, over the very wheel that we run on where it was kept."""
    version = bindings_version()
    wheel = next(WHEELS.glob(f"llama_cpp_python-{version}-*.whl"), None)
    source = f"{BINDINGS}[server] @ {wheel.as_uri()}" if wheel else f"{BINDINGS}[server]=={version}"
    _environment(f"llama_cpp_server-{version}", source)


def build_xllamacpp() -> None:
    """Its published wheel, which carries a llama.cpp of its own."""
    _environment(XLLAMACPP, "--only-binary", ":all:", XLLAMACPP)


def _environment(name: str, *requirements: str) -> None:
    """A virtual environment that appears whole or not at all."""
    python = _python(name)
    if python.exists():
        return
    folder = python.parent.parent
    try:
        _run(sys.executable, "-m", "venv", str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements)
    except CannotBeHad:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _run(*command: str) -> None:
    """Run to success at low priority. Raises CannotBeHad with the command's last line."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, preexec_fn=lambda: os.nice(NICE)
        )
    except FileNotFoundError as error:
        raise CannotBeHad(f"{command[0]} is not installed") from error
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines()
        raise CannotBeHad(f"{' '.join(command[:3])} failed: {told[-1] if told else 'it said nothing'}")


@contextmanager
def _alone() -> Iterator[None]:
    """One build at a time on this machine."""
    (CACHE / "sources").mkdir(parents=True, exist_ok=True)
    handle = os.open(CACHE, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


BUILDS: Final[dict[str, Callable[[], None]]] = {
    "llama-server": build_llama_server,
    "llama_cpp.server": build_bindings_server,
    "xllamacpp": build_xllamacpp,
}


def main() -> None:
    with _alone():
        for name, build in BUILDS.items():
            try:
                build()
                print(f"{name}: ready")
            except CannotBeHad as reason:
                print(f"{name}: cannot be had: {reason}")


if __name__ == "__main__":
    main()
