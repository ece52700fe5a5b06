"""A model shows that it can be used before anybody is told that it stands.

Some files load and end the process at the first text that is tokenised, or at the first token that is computed. In an
engine process that death comes before there are requests, and is a failed load with its reason.
"""

import contextlib
from typing import Final

from bodhi_asgi.engine.images import fitting
from bodhi_asgi.engine.plan import AdapterSet, Clear, Row, StepOutcome, StepPlan
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.types import ModelFacts, ModelSpec
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, Image, Message, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

TEXTS: Final = (
    "",
    " ",
    "Hello, world!",
    "\n\n\t  \r\n",
    "The quick brown fox jumps over 13 lazy dogs.",
    "0123456789" * 8,
    "a" * 256,
    "A" * 256,
    " " * 256,
    "\n" * 256,
    "é à ü ß ñ",
    "Москва",
    "你好世界",
    "こんにちは",
    "안녕하세요",
    "مرحبا بالعالم",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\x00\x01\x7f",
    "\u2028\u200b\ufeff\ufffd",
    "<|im_start|>system\n<s>[INST]</s>",
    '{"a": [1, 2.5e-3, null, true]}',
)
"""Every class of characters that tokenizers treat apart."""

SEEN: Final = Image("R0lGODlhEAAQAIAAAP8AAP///yH5BAAAAAAALAAAAAAQABAAAAIOhI+py+0Po5y02ouzPgUAOw==")
"""A GIF of 16 by 16 pixels."""

ANSWER_TOKENS: Final = 4
PROMPT_TOKENS: Final = 16
SLOT: Final = 0
SAMPLER: Final = 0


def self_test(runner: Runner, spec: ModelSpec, facts: ModelFacts) -> None:
    """Tokenise, render and compute a little, with each adapter too, and leave nothing of it.

    What goes wrong is raised, or is the end.
    """
    vocabulary = runner.vocabulary
    prompt: list[int] = []
    for text in TEXTS:
        tokens = vocabulary.encode(TextPrompt(text))
        for token in tokens:
            vocabulary.piece(token)
        prompt += tokens
    # A model without a usable template still completes text; its chat requests are refused with the reason.
    with contextlib.suppress(BodhiError):
        vocabulary.encode(ChatPrompt((Message(Role.USER, "Hello"),)))
    if not facts.generates:
        read = tuple(prompt[: min(PROMPT_TOKENS, facts.longest_text)])
        runner.pool(PooledPlan((Passage(SLOT, 0, read, len(read)),), facts.ranks))
        return
    _generate(runner, prompt[:PROMPT_TOKENS], ())
    for index in range(len(spec.adapters)):
        _generate(runner, prompt[:PROMPT_TOKENS], ((index, 1.0),))
    if spec.projector:
        _look(runner, spec.n_batch)


def _look(runner: Runner, n_batch: int) -> None:
    seen: list[int] = []
    with contextlib.suppress(BodhiError):
        seen = runner.vocabulary.encode(
            ChatPrompt((Message(Role.USER, f"What is this? {IMAGE_MARK}"),), images=(SEEN,))
        )
    position = 0
    while position < len(seen):
        size = fitting(seen, position, min(n_batch, len(seen) - position))
        row = Row(SLOT, SAMPLER, position, tuple(seen[position : position + size]), wants_token=False)
        runner.run(StepPlan((row,)))
        position += size
    runner.run(StepPlan((), (Clear(SLOT),)))


def _generate(runner: Runner, tokens: list[int], adapters: AdapterSet) -> None:
    runner.begin(SAMPLER, GenerateRequest("", TextPrompt(""), Sampling(temperature=0)), tokens)
    position = 0
    for _ in range(ANSWER_TOKENS):
        result = runner.run(StepPlan((Row(SLOT, SAMPLER, position, tuple(tokens), wants_token=True),), (), adapters))
        if result.outcome is not StepOutcome.DONE:  # a load that is given up interrupts the step
            break
        position += len(tokens)
        tokens = [result.drawn[SLOT].token]
        runner.vocabulary.piece(tokens[0])
    runner.run(StepPlan((), (Clear(SLOT),)))
    runner.end(SAMPLER)
