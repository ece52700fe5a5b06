"""An engine for real: started in a process of its own, asked, measured, and ended.

It meets us in a directory made for this, so that no running server's engine is borrowed, held up or ended by it.
"""

import asyncio
import os
import shutil
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import SystemClock
from bodhi_asgi.doctor.case import Case, in_thread
from bodhi_asgi.doctor.extras import is_installed
from bodhi_asgi.doctor.models import references
from bodhi_asgi.doctor.sizes import duration
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.process.runtime import runtime_directory
from bodhi_asgi.engine.types import ModelSpec, Work
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from bodhi_asgi.models.configured import DEMO, ConfiguredModels
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.service import ModelService

CHECK: Final = "engine"
GREETING: Final = "Hello! What is the capital of France?"
MOST_TOKENS: Final = 32
SLOW_TOKENS_PER_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What an engine that answered was like. ``tokens_per_s`` is unknown for an answer of one token."""

    load_s: float
    first_token_s: float
    tokens: int
    tokens_per_s: float | None
    answer: str
    n_ctx: int
    pid: int | None


async def examine(case: Case) -> list[Finding]:
    """One finding about the model that was named, or the demo model, or the first there is."""
    config = case.config
    offered = references(config)
    name = case.model or (DEMO if DEMO in offered else next(iter(offered), None))
    if not case.with_engine:
        return [skipped(CHECK, "no engine was to be started")]
    if name is None:
        return [skipped(CHECK, "no model is offered")]
    if config.engine.runner == "llama" and not is_installed("llama"):
        return [skipped(CHECK, "the extra 'llama' is not installed", "Run: pip install 'bodhi-asgi[llama]'")]
    cache = MemoryCache(max_entries=config.cache.max_entries, ttl_s=config.cache.ttl_s, clock=SystemClock())
    configured = ConfiguredModels(models=config.models, demo=config.demo, engine=config.engine, cache=cache)
    service = ModelService(configured=configured)
    try:
        spec = (await service.resolve(Caller.system(), name)).spec
    except ModelNotFound:
        advice = f"Name one of those that are offered: {', '.join(offered) or 'there is none'}."
        return [failed(CHECK, f"there is no model '{name}'", advice, subject=name)]
    except ModelFileMissing as error:
        return [failed(CHECK, error.message, "Put the file there, or correct the setting models.", subject=name)]
    # Told apart by an id, so that it lies beside the directory of the server and shares its engines with nobody.
    place = runtime_directory(config.data_dir / f"doctor-{new_id()}")
    engine = ProcessEngine(spec, runtime_dir=place, linger_s=0, start_timeout_s=config.engine.start_timeout_s)
    try:
        measured = await _measure(engine, spec, case.time_limit_s)
    except BodhiError as error:
        return [not_answered(name, error.message, engine.reason)]
    except TimeoutError:
        return [not_answered(name, f"it did not answer within {case.time_limit_s:g} s", engine.reason)]
    finally:
        await engine.aclose(terminate=True)
        await in_thread(lambda: shutil.rmtree(place, ignore_errors=True))
    return [judge(name, measured), *await _ended(measured.pid)]


async def _measure(engine: ProcessEngine, spec: ModelSpec, answers_within_s: float) -> Measured:
    began = time.perf_counter()
    facts = await engine.start()
    loaded = time.perf_counter()
    prompt = ChatPrompt((Message(Role.USER, GREETING),))
    request = GenerateRequest(spec.name, prompt, Sampling(temperature=0), max_tokens=MOST_TOKENS)
    pieces: list[str] = []
    tokens, first, last = 0, None, loaded
    work = Work(new_id(), request)
    async with asyncio.timeout(answers_within_s), aclosing(engine.submit(work)) as answer:  # type: ignore[type-var]
        async for delta in answer:
            if delta.text:
                last = time.perf_counter()
                first = first or last
                pieces.append(delta.text)
            if delta.usage is not None:
                tokens = delta.usage.completion_tokens
    first = first or time.perf_counter()
    rate = (tokens - 1) / (last - first) if tokens > 1 and last > first else None
    return Measured(loaded - began, first - loaded, tokens, rate, "".join(pieces), facts.n_ctx, engine.pid)


def not_answered(name: str, message: str, reason: str) -> Finding:
    """An engine that did not: ``reason`` is what it said last, for operators."""
    told = message if not reason or reason in message else f"{message} ({reason})"
    return failed(
        CHECK,
        told,
        "Mend what this says, or what the lines about models, memory and llama say, and try again.",
        subject=name,
        reason=reason or None,
    )


def judge(name: str, measured: Measured) -> Finding:
    """An engine that answered."""
    rate = measured.tokens_per_s
    speed = f"{rate:.0f} tokens/s" if rate is not None else "too short an answer to tell its speed"
    told = (
        f"started and loaded in {duration(measured.load_s)}, first token after {duration(measured.first_token_s)}, "
        f"{measured.tokens} tokens, {speed}"
    )
    facts: dict[str, Any] = {
        "load_s": round(measured.load_s, 6),
        "first_token_s": round(measured.first_token_s, 6),
        "tokens": measured.tokens,
        "tokens_per_s": None if rate is None else round(rate, 3),
        "n_ctx": measured.n_ctx,
        "answer": measured.answer,
    }
    if not measured.tokens:
        advice = "Try it with bodhi run; a model without a chat template, or a base model, may have nothing to say."
        return warning(CHECK, f"{told}: it said nothing", advice, subject=name, **facts)
    if rate is not None and rate < SLOW_TOKENS_PER_S:
        advice = "Use a smaller model or a smaller quantisation, more cores, or a build for your processor or GPU."
        return warning(CHECK, told, advice, subject=name, **facts)
    return ok(CHECK, told, subject=name, **facts)


async def _ended(pid: int | None) -> list[Finding]:
    """Nothing, when the engine is gone."""
    if pid is None or not await in_thread(lambda: _is_alive(pid)):
        return []
    return [warning(CHECK, f"the engine (pid {pid}) did not end when told to", f"End it: kill -9 {pid}", pid=pid)]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
