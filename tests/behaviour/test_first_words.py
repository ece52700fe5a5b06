"""The embedded model speaks through the real llama.cpp in its own process, at every door."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from bodhi_asgi import BodhiApp, Grants, Scope
from tests.behaviour.doors import Door, host_of
from tests.servers import serving

QUESTION: dict[str, Any] = {
    "model": "demo",
    "messages": [{"role": "user", "content": "What is bodhi_asgi?"}],
    "temperature": 0,
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    return {"data_dir": tmp_path / "data", "engine": {"threads": 1, "n_ctx": 512, "slots": 4, "linger_s": 0}}


async def demo_token(app: BodhiApp) -> str:
    created = await app.server.create_api_token(
        "demo", scopes=[Scope.MODELS_READ, Scope.INFERENCE], grants=Grants(models=frozenset({"demo"}))
    )
    return created.token.reveal()


async def test_the_demo_model_answers_sensibly_at_every_door(door: Door) -> None:
    token = await demo_token(door.app)

    answer = await door.chat(QUESTION, token)
    chunks = await door.stream(QUESTION, token)

    assert answer.status == 200, answer.body
    assert "language model" in answer.text.lower()
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == answer.text


@pytest.fixture
async def client(settings: dict[str, Any]) -> AsyncIterator[AsyncOpenAI]:
    """The openai client, unchanged but for base URL and token, against a FastAPI host on uvicorn."""
    app = BodhiApp(**settings)
    host, prefix = host_of("mounted-fastapi", app)
    async with serving(host) as base:
        token = await demo_token(app)
        async with AsyncOpenAI(base_url=f"{base}{prefix}/v1", api_key=token, max_retries=0) as client:
            yield client


async def test_the_openai_client_completes_and_streams(client: AsyncOpenAI) -> None:
    whole = await client.chat.completions.create(**QUESTION)
    stream = await client.chat.completions.create(**QUESTION, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]

    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


async def test_the_openai_client_lists_and_finds_models(client: AsyncOpenAI) -> None:
    assert [model.id async for model in client.models.list()] == ["demo"]
    assert (await client.models.retrieve("demo")).object == "model"
    with pytest.raises(NotFoundError) as missing:
        await client.models.retrieve("nobody")
    assert missing.value.code == "model_not_found"


async def test_the_openai_client_meets_typed_errors(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        await client.chat.completions.create(**{**QUESTION, "temperature": 3})
    assert refused.value.param == "temperature"
    with pytest.raises(AuthenticationError):
        await client.with_options(api_key="sk-bodhiapp_wrong.x").models.list()


async def test_the_same_seed_gives_the_same_answer(client: AsyncOpenAI) -> None:
    ask = {**QUESTION, "temperature": 1.5, "seed": 42}

    first = await client.chat.completions.create(**ask)
    second = await client.chat.completions.create(**ask)

    assert first.choices[0].message.content == second.choices[0].message.content
