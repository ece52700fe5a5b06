"""The demo model in llama.cpp, in a process: the same answers as in a thread, and inputs that kill kill nobody."""

import asyncio

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Prompt, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import answer

SPEC = ModelSpec("demo", str(DEMO_MODEL_PATH), n_ctx=2048, threads=1, slots=4)
QUESTIONS = ("Hello!", "What is 2 + 3?", "Count from 1 to 5.", "Who are you?")


def greedy(prompt: Prompt) -> Work:
    return Work(new_id(), GenerateRequest("demo", prompt, Sampling(temperature=0.0), max_tokens=24))


def chat(text: str) -> Work:
    return greedy(ChatPrompt((Message(Role.USER, text),)))


async def answers(engine: Engine) -> list[str]:
    await engine.start()
    return await asyncio.gather(*(answer(engine, chat(question)) for question in QUESTIONS))


async def test_a_process_answers_as_a_thread_does(make_engine: MakeEngine) -> None:
    thread = ThreadEngine(SPEC)
    process = make_engine(SPEC)
    async with asyncio.timeout(60):
        assert (await thread.start()) == (await process.start())
        expected = await answers(thread)
        await thread.aclose()
        assert await answers(process) == expected
    assert all(expected)


@pytest.mark.parametrize("text", ["a" * 30_000, " " * 30_000, "\n" * 30_000, "\0" * 100, "中" * 9_000, "\ud800"])
async def test_nasty_text_is_answered_or_refused_and_the_engine_lives_on(make_engine: MakeEngine, text: str) -> None:
    engine = make_engine(SPEC)
    async with asyncio.timeout(60):
        for prompt in (TextPrompt(text), ChatPrompt((Message(Role.USER, text),))):
            try:
                await answer(engine, greedy(prompt))
            except BodhiError as error:
                assert error.status == 400  # noqa: PT017 - an answer is as good as a refusal
        assert await answer(engine, chat("Hello!")) != ""
    assert engine.restarts == 0
