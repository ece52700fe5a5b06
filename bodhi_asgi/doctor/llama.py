"""The installed llama.cpp: its version, how it was built for this processor, and whether it can use a GPU.

It is asked in a process of its own, started as an engine is: a build for another processor ends its process.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import tempfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.extras import is_installed
from bodhi_asgi.doctor.processor import FLAGS, features_of_build, features_of_machine
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.engine.process.launch import environment, interpreter

CHECK: Final = "llama"
MODULE: Final = "bodhi_asgi.engine.runners.llama_build"
PINNED: Final = re.compile(r"llama-cpp-python\s*==\s*([\w.]+)")
BUILD_HERE: Final = (
    "CMAKE_ARGS=-DGGML_NATIVE=on pip install --force-reinstall --no-deps --no-cache-dir --no-binary llama-cpp-python "
)


async def examine(case: Case) -> list[Finding]:
    """Version, processor features and GPU, each as its own finding."""
    if not is_installed("llama"):
        return [skipped(CHECK, "the extra 'llama' is not installed", "Run: pip install 'bodhi-asgi[llama]'")]
    code, output, errors = await _ask()
    if code != 0:
        return [_not_loaded(code, errors)]
    build = json.loads(output.strip().splitlines()[-1])
    return [_version(build), _processor(build), _gpu(build, case)]


async def _ask() -> tuple[int, str, str]:
    with tempfile.TemporaryDirectory(prefix="bodhi-doctor-") as home:
        process = await asyncio.create_subprocess_exec(
            interpreter(),
            "-P",
            "-m",
            MODULE,
            cwd=home,
            env=environment(os.environ, home=Path(home)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            output, errors = await process.communicate()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace"), errors.decode(errors="replace")


def _not_loaded(code: int, errors: str) -> Finding:
    wanted = pinned() or ""
    package = f"llama-cpp-python=={wanted}" if wanted else "llama-cpp-python"
    if code == -signal.SIGILL:
        return failed(
            CHECK,
            "llama.cpp cannot be loaded: it was built for another processor than this one (SIGILL)",
            f"Build it on this machine: {BUILD_HERE}{package}",
            exit_code=code,
        )
    how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
    last = ([line.strip() for line in errors.splitlines() if line.strip()] or ["it said nothing"])[-1]
    return failed(
        CHECK,
        f"llama.cpp cannot be loaded ({how}): {last[:300]}",
        f"Install it anew, or the library it misses: pip install --force-reinstall --no-deps {package}",
        exit_code=code,
    )


def _version(build: dict[str, Any]) -> Finding:
    version, wanted = str(build["version"]), pinned()
    if wanted is not None and version != wanted:
        return warning(
            CHECK,
            f"llama-cpp-python {version}; this version of bodhi_asgi is made for {wanted}",
            f"Run: pip install llama-cpp-python=={wanted}",
            subject="version",
            version=version,
            wanted=wanted,
        )
    return ok(CHECK, f"llama-cpp-python {version}", subject="version", version=version, wanted=wanted)


def _processor(build: dict[str, Any]) -> Finding:
    reported = features_of_build(str(build["system_info"]))
    known = set(FLAGS.values())
    used, others, machine = sorted(reported & known), sorted(reported - known - {"CPU"}), features_of_machine()
    found = f"the build uses {', '.join(used) or 'no special features of the processor'} (and {', '.join(others)})"
    facts: dict[str, Any] = {"used": used, "other": others}
    if machine is None:
        return ok(CHECK, f"{found}; what this processor has is not known here", subject="cpu", unused=None, **facts)
    unused = sorted(machine - reported)
    if not unused:
        return ok(CHECK, f"{found}, which is all this processor has", subject="cpu", unused=[], **facts)
    return warning(
        CHECK,
        f"{found}, but not {', '.join(unused)}, which this processor has",
        f"It may run faster when built on this machine: {BUILD_HERE}llama-cpp-python=={build['version']}",
        subject="cpu",
        unused=unused,
        **facts,
    )


def _gpu(build: dict[str, Any], case: Case) -> Finding:
    offload = bool(build["gpu_offload"])
    layers = case.settings.engine.n_gpu_layers if case.settings is not None else 0
    facts = {"offload": offload, "n_gpu_layers": layers}
    if layers and not offload:
        return warning(
            CHECK,
            f"engine.n_gpu_layers is {layers}, and this build computes on the processor only",
            "Install a build of llama-cpp-python for your GPU, or set engine.n_gpu_layers to 0.",
            subject="gpu",
            **facts,
        )
    if offload and not layers:
        return warning(
            CHECK,
            "this build can use a GPU, and engine.n_gpu_layers is 0, so nothing is computed there",
            "Set engine.n_gpu_layers to -1 for all layers, or to as many as fit.",
            subject="gpu",
            **facts,
        )
    found = (
        f"a GPU computes {'all layers' if layers < 0 else f'{layers} layers'}" if offload else "no GPU in this build"
    )
    return ok(CHECK, found, subject="gpu", **facts)


def pinned() -> str | None:
    """The version of llama-cpp-python the installed distribution asks for; None when it does not say."""
    try:
        wanted = requires("bodhi-asgi") or []
    except PackageNotFoundError:
        return None
    found = (PINNED.match(line) for line in wanted)
    return next((match[1] for match in found if match is not None), None)
