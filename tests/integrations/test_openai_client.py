"""OpenAI's own client drives choices, log probabilities and completions of the demo model."""

from pathlib import Path

import pytest
from openai import AsyncOpenAI, BadRequestError

from bodhi_asgi import BodhiApp, Grants, Scope
from tests.servers import serving

GREETING = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_the_client_understands_what_it_is_told(tmp_path: Path, isolation: str) -> None:
    app = BodhiApp(data_dir=tmp_path / "data", engine={"isolation": isolation, "threads": 1, "linger_s": 0})
    async with serving(app) as base:
        created = await app.server.create_api_token(
            "client", scopes=(Scope.INFERENCE,), grants=Grants(models=frozenset({"demo"}))
        )
        async with AsyncOpenAI(base_url=f"{base}/v1", api_key=created.token.reveal(), max_retries=0) as client:
            chat = await client.chat.completions.create(
                model="demo", messages=GREETING, n=2, temperature=0, logprobs=True, top_logprobs=3
            )
            assert [choice.message.content for choice in chat.choices] == ["The capital of France is Paris."] * 2
            for choice in chat.choices:
                assert choice.logprobs is not None
                assert "".join(one.token for one in choice.logprobs.content or ()) == choice.message.content
                assert all(len(one.top_logprobs) == 3 for one in choice.logprobs.content or ())

            stream = await client.completions.create(
                model="demo", prompt="The capital of", max_tokens=6, temperature=0, logprobs=1, stream=True, echo=True
            )
            chunks = [chunk async for chunk in stream]
            text = "".join(chunk.choices[0].text for chunk in chunks)
            assert text.startswith("The capital of")
            tokens = [token for chunk in chunks if (found := chunk.choices[0].logprobs) for token in found.tokens or ()]
            assert "".join(tokens) == text

            best = await client.completions.create(model="demo", prompt=["One", "Two"], best_of=3, n=1, max_tokens=4)
            assert [choice.index for choice in best.choices] == [0, 1]
            with pytest.raises(BadRequestError) as refused:
                await client.completions.create(model="demo", prompt="def f(", suffix=")")
            assert refused.value.param == "suffix"
