"""What the tests of the engine process share: a bounded wait for facts, and the files of an engine."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from bodhi_asgi.engine.process.election import take_lock
from bodhi_asgi.engine.process.runtime import EnginePaths, spec_key
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest


async def wait_until(fact: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Return when ``fact`` holds: for what the system tells nobody about, such as files and other processes."""
    async with asyncio.timeout(timeout_s):
        while not fact():
            await asyncio.sleep(0.01)


def is_free(lock: Path) -> bool:
    """Whether no engine holds ``lock``."""
    descriptor = take_lock(lock)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


async def nothing_is_left(runtime_dir: Path) -> None:
    """Every engine has gone, and every child that was one has been waited for."""
    await wait_until(lambda: all(is_free(lock) for lock in runtime_dir.glob("*.lock")))
    await wait_until(lambda: not [thread for thread in threading.enumerate() if "bodhi-engine" in thread.name])


def paths_of(runtime_dir: Path, spec: ModelSpec) -> EnginePaths:
    return EnginePaths(runtime_dir, spec_key(spec))


ECHO = ModelSpec("echo", "nowhere", runner="echo", n_ctx=4096, slots=8)
POISON = ModelSpec("poison", "nowhere", runner="poison", n_ctx=4096, slots=8)
LONG = "word " * 600
"""More pieces of text than a reader has credits for, so that an unread answer stands still in the middle."""


def work(text: str = "one two three", *, max_tokens: int | None = None, spec: ModelSpec = ECHO) -> Work:
    """A request under a new id."""
    return Work(new_id(), GenerateRequest(spec.name, TextPrompt(text), max_tokens=max_tokens))


async def first_text(deltas: AsyncIterator[Delta]) -> str:
    """Read on until there is text: an answer that has shown none is begun anew when its engine dies."""
    while not (text := (await anext(deltas)).text):
        pass
    return text


async def answer(engine: Engine, asked: Work) -> str:
    """The whole text of an answer that ends well."""
    pieces = []
    async with aclosing(engine.submit(asked)) as deltas:
        async for delta in deltas:
            pieces.append(delta.text)
            if delta.finish is not None:
                assert delta.usage is not None
                return "".join(pieces)
    raise AssertionError("an answer without its final word")


def change_engines(short_dir: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """Have engines started by an interpreter in which ``how`` was executed first."""
    script = short_dir / "engine.py"
    script.write_text(
        f"""
import os, runpy, signal, sys, threading
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.process import serve, traffic
{how}
sys.argv = ["bodhi_asgi.engine", sys.argv[-1]]
runpy.run_module("bodhi_asgi.engine", run_name="__main__")
"""
    )
    interpreter = short_dir / "python3"
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
    interpreter.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(interpreter))
