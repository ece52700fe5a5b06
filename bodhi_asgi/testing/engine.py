"""The engine of a test: the engine of threads, with the scripted runner in it, and a record of who asked for what."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.types import Job, ModelSpec, PooledWork, Work
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.answers import Delta, Usage
from bodhi_asgi.testing.asked import Asked, Read
from bodhi_asgi.testing.runner import Heard, ScriptedRunner
from bodhi_asgi.testing.script import Script


class ScriptedEngine(ThreadEngine):
    """Says what the script says."""

    def __init__(self, spec: ModelSpec, script: Script, **how: Any) -> None:
        super().__init__(spec, **how)
        self._script = script

    async def submit(self, work: Job) -> AsyncGenerator[Delta]:
        """Run one request, and write down what came of it."""
        if isinstance(work, Work):
            asked = Asked.of(work)
            self._script.note(asked)
            job: Job = replace(work, request=Heard.of(work.request, asked))
        else:
            asked, job = None, work
            if isinstance(work, PooledWork):
                self._script.note_read(Read.of(work))
        try:
            async with aclosing(super().submit(job)) as deltas:
                async for delta in deltas:
                    yield self._noted(asked, delta) if asked is not None else delta
        except BodhiError as error:
            if asked is not None:
                asked.end("failed", error)
            raise
        finally:
            if asked is not None:
                asked.end("cancelled")

    def _make_runner(self) -> Runner:
        return ScriptedRunner(self.spec, self._script)

    def _noted(self, asked: Asked, delta: Delta) -> Delta:
        asked.said += delta.text
        if delta.usage is None:
            return delta
        usage = self._usage(asked, delta.usage)
        asked.usage = usage
        asked.end("answered")
        return replace(delta, usage=usage)

    def _usage(self, asked: Asked, counted: Usage) -> Usage:
        """What the script says of the tokens, where it says something."""
        tokens = self._script.tokens_of(asked)
        return counted if tokens is None else Usage(*tokens)
