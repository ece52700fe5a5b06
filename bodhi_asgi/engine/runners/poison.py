"""A runner that misbehaves on request, for the tests of whatever has to survive it.

A last message ``poison: <deed>`` says how, as soon as its first token is due: ``segv``, ``abort``, ``exit0``, ``hang``,
``raise``, ``sleep <seconds> …`` (before every token), ``garbage-frame`` and ``half-frame`` (said on every socket of
the process before it ends). ``poison: later <deed>`` waits for the fourth token. ``poison: read until <path> …`` has
the tokenizer wait for a file of that name, when it is asked for the tokens of a text. A model whose file is called
``poison: load until <path>`` is loaded once a file of that name is there. Anything else is an ordinary echo.
"""

import ctypes
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.plan import StepPlan, StepResult
from bodhi_asgi.engine.pooled_plan import PooledPlan, PooledResult
from bodhi_asgi.engine.runners.echo import EchoRunner, EchoVocabulary
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.messages.conversation import ChatPrompt, InfillPrompt, Prompt, TokenPrompt

COMMAND: Final = "poison: "
LATER: Final = "later "
UNTIL: Final = "read until "
LOAD_UNTIL: Final = "load until "
LOOK_S: Final = 0.01
TOKENS_BEFORE_LATER: Final = 3
HALF_FRAME: Final = b"\x00\x00\x00\x40{"
GARBAGE: Final = b"\xff" * 64


class PoisonRunner(EchoRunner):
    """Echo, until a prompt says otherwise."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        self.vocabulary: PoisonVocabulary = PoisonVocabulary()

    def load(self, advance: Callable[[float], bool]) -> ModelFacts:
        held, _, gate = self._spec.path.partition(COMMAND + LOAD_UNTIL)
        while gate and not held and not Path(gate).exists():
            if not advance(0.5):
                raise ModelLoadFailed("the load was cancelled")
            time.sleep(LOOK_S)
        return super().load(advance)

    def run(self, plan: StepPlan) -> StepResult:
        for row in plan.rows:
            cells = [*self.tokens(row.slot), *row.tokens]
            deed = next((self.vocabulary.deeds[token] for token in cells if token in self.vocabulary.deeds), "")
            is_later = deed.startswith(LATER)
            if deed and (not is_later or self._said(cells) >= TOKENS_BEFORE_LATER):
                commit(deed.removeprefix(LATER))
        return super().run(plan)

    def pool(self, plan: PooledPlan) -> PooledResult:
        for passage in plan.passages:
            for token in passage.tokens:
                commit(self.vocabulary.deeds.get(token, ""))
        return super().pool(plan)


class PoisonVocabulary(EchoVocabulary):
    """Words, and the deeds that some prompts ask for under the first of their words."""

    def __init__(self) -> None:
        super().__init__()
        self.deeds: dict[int, str] = {}

    def encode(self, prompt: Prompt) -> list[int]:
        tokens = super().encode(prompt)
        if isinstance(prompt, TokenPrompt | InfillPrompt):
            return tokens
        text = prompt.messages[-1].content if isinstance(prompt, ChatPrompt) else prompt.text
        if text.startswith(COMMAND):
            mark = self._token(text.encode())
            self.deeds[mark] = text.removeprefix(COMMAND)
            return [mark, *tokens]
        return tokens

    def tokens(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        if text.startswith(COMMAND + UNTIL):
            gate = Path(text.removeprefix(COMMAND + UNTIL).split()[0])
            while not gate.exists():
                time.sleep(LOOK_S)
        return super().tokens(text, add_special=add_special, parse_special=parse_special)


def commit(deed: str) -> None:
    """Do it."""
    word, _, argument = deed.partition(" ")
    match word:
        case "segv":
            ctypes.string_at(0)
        case "abort":
            os.abort()
        case "exit0":
            os._exit(0)
        case "hang":
            while True:
                time.sleep(3600)
        case "sleep":
            time.sleep(float(argument.split()[0]))
        case "raise":
            raise RuntimeError("the poison runner was told to fail")
        case "garbage-frame" | "half-frame":
            say_on_every_socket(GARBAGE if word == "garbage-frame" else HALF_FRAME)
            os._exit(1)


def say_on_every_socket(data: bytes) -> None:
    """Write to every connected local socket of this process, around whoever owns it."""
    for entry in Path("/dev/fd").iterdir():
        try:
            with socket.socket(fileno=os.dup(int(entry.name))) as connection:
                if connection.family is socket.AF_UNIX:
                    connection.send(data)
        except OSError:
            continue
