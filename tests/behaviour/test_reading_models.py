"""Embeddings and rerank by real models in llama.cpp, at every door and in both isolations."""

from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from bodhi_asgi import BodhiApp, Grants
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.reading_models import PARAPHRASES, SENTENCES, meaning_model, overlap_model, write
from tests.servers import serving


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("models")
    return {
        "meaning": str(write(meaning_model(), folder / "meaning.gguf")),
        "overlap": str(write(overlap_model(), folder / "overlap.gguf")),
    }


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, models: dict[str, Any]) -> dict[str, Any]:
    engine = {"isolation": request.param, "threads": 1, "linger_s": 0}
    return {"data_dir": tmp_path / "data", "models": models, "engine": engine}


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_a_sentence_is_nearest_to_the_other_one_about_the_same(door: Door) -> None:
    token = await token_for(door, "meaning", "demo")
    answer = await door.ask("embeddings", {"model": "meaning", "input": [*SENTENCES, *PARAPHRASES]}, token)
    assert answer.status == 200, answer.body
    vectors = [one["embedding"] for one in answer.body["data"]]

    for index in range(len(SENTENCES)):
        likes = [likeness(vectors[len(SENTENCES) + index], vector) for vector in vectors[: len(SENTENCES)]]
        assert max(range(len(likes)), key=lambda place: likes[place]) == index

    # What reads is listed like everything else, cannot speak, and stands in the way of nobody who can.
    listed = await door.models(token)
    assert {model["id"] for model in listed.body["data"]} == {"meaning", "demo"}
    spoken = {"model": "meaning", "messages": [{"role": "user", "content": "What is bodhi_asgi?"}]}
    refused = await door.chat(spoken, token)
    assert (refused.status, refused.error["code"], refused.error["param"]) == (400, "capability_missing", "model")
    assert (await door.chat({**spoken, "model": "demo"}, token)).status == 200


async def test_documents_are_ranked_by_the_words_they_share_with_the_query(door: Door) -> None:
    token = await token_for(door, "meaning", "overlap", "demo")
    documents = ["kitten whiskers", SENTENCES[0], "bread bakes in the oven", "cat in the rain"]
    body = {"model": "overlap", "query": SENTENCES[0], "documents": documents, "return_documents": True}
    answer = await door.ask("rerank", body, token)

    assert answer.status == 200, answer.body
    assert [one["document"]["text"] for one in answer.body["results"]][:2] == [SENTENCES[0], "cat in the rain"]
    for model in ("meaning", "demo"):
        refused = await door.ask("rerank", {**body, "model": model}, token)
        assert (refused.status, refused.error["code"]) == (400, "capability_missing")
    for model in ("overlap", "demo"):
        refused = await door.ask("embeddings", {"model": model, "input": "hello"}, token)
        assert (refused.status, refused.error["code"]) == (400, "capability_missing")


async def test_the_demo_model_tells_its_tokens_and_its_template(door: Door) -> None:
    token = await token_for(door, "demo")
    chat = {"model": "demo", "messages": [{"role": "user", "content": "What is <|im_end|>?"}]}
    rendered = (await door.ask("apply_template", chat, token)).body["prompt"]
    tokens = (await door.ask("tokenize", chat, token)).body["tokens"]
    again = (await door.ask("detokenize", {"model": "demo", "tokens": tokens}, token)).body["prompt"]

    assert rendered.endswith("<|im_start|>assistant\n")
    assert again == rendered
    # What somebody typed is text, also where it reads like a control token; what a client asks to be parsed is not.
    control = {"model": "demo", "prompt": "<|im_end|>", "add_special_tokens": False}
    assert (await door.ask("tokenize", control, token)).body["count"] > 1
    assert (await door.ask("tokenize", {**control, "parse_special": True}, token)).body["count"] == 1
    assert tokens.count((await door.ask("tokenize", {**control, "parse_special": True}, token)).body["tokens"][0]) == 1


async def test_the_tokens_of_a_conversation_with_tools_are_those_its_answer_is_counted_by(door: Door) -> None:
    token = await token_for(door, "demo")
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "weather", "parameters": parameters}}]
    chat = {"model": "demo", "messages": [{"role": "user", "content": "What is the weather in Paris?"}], "tools": tools}
    counted = await door.ask("tokenize", chat, token)
    answered = await door.chat({**chat, "max_tokens": 4}, token)

    assert counted.body["count"] == answered.body["usage"]["prompt_tokens"]
    assert "weather" in (await door.ask("apply_template", chat, token)).body["prompt"]


async def test_openais_own_client_reads_the_vectors_as_numbers(settings: dict[str, Any]) -> None:
    app = BodhiApp(**settings)
    async with serving(app) as base:
        token = (await app.server.create_api_token("t", grants=Grants.everything())).token.reveal()
        async with AsyncOpenAI(base_url=f"{base}/v1", api_key=token, max_retries=0) as client:
            # It asks for base64 by itself, and makes numbers of it again.
            found = await client.embeddings.create(model="meaning", input=list(SENTENCES))
            assert [len(one.embedding) for one in found.data] == [64] * len(SENTENCES)
            assert found.usage.prompt_tokens == found.usage.total_tokens > 0
            plain = await client.embeddings.create(model="meaning", input=SENTENCES[0], encoding_format="float")
            assert likeness(plain.data[0].embedding, found.data[0].embedding) == pytest.approx(1, abs=1e-5)
            cut = await client.embeddings.create(model="meaning", input=SENTENCES[0], dimensions=8)
            assert len(cut.data[0].embedding) == 8
            with pytest.raises(BadRequestError) as refused:
                await client.embeddings.create(model="meaning", input=["cat", "cat " * 400])
            assert (refused.value.code, refused.value.param) == ("context_length_exceeded", "input.1")
