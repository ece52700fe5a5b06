"""What embeddings, rerank and tokens do at every door, with a runner whose numbers are counted words."""

import array
import asyncio
import base64
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bodhi_asgi import facade, readings
from bodhi_asgi.engine.runners.echo import WIDTH
from bodhi_asgi.http.routes import chat as chat_route
from bodhi_asgi.http.routes import completions as completions_route
from bodhi_asgi.http.routes import reading as routes
from bodhi_asgi.strict_json import MAX_VALUES
from tests.behaviour.doors import Door

CATS = "the cat sat on the mat"
MORE_CATS = "a cat sat on a mat"
SHIPS = "steamboats cross wide rivers"


def embed(texts: Any, **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "input": texts, **extra}


def rank(query: str, documents: list[Any], **extra: Any) -> dict[str, Any]:
    return {"model": "parrot", "query": query, "documents": documents, **extra}


def numbers(encoded: str) -> list[float]:
    return list(array.array("f", base64.b64decode(encoded)))


def likeness(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_each_text_gets_a_vector_of_length_one_in_the_openai_shape(door: Door, token: str) -> None:
    answer = await door.ask("embeddings", embed([CATS, MORE_CATS, SHIPS]), token)

    assert answer.status == 200
    assert (answer.body["object"], answer.body["model"]) == ("list", "parrot")
    assert [(one["object"], one["index"]) for one in answer.body["data"]] == [("embedding", i) for i in range(3)]
    cats, more, ships = (one["embedding"] for one in answer.body["data"])
    assert len(cats) == WIDTH
    assert math.isclose(math.hypot(*cats), 1, rel_tol=1e-6)
    assert likeness(cats, more) > likeness(cats, ships)
    usage = answer.body["usage"]
    assert usage["prompt_tokens"] == usage["total_tokens"] > 0


async def test_one_text_is_read_like_a_list_of_one(door: Door, token: str) -> None:
    one = await door.ask("embeddings", embed(CATS), token)
    several = await door.ask("embeddings", embed([CATS]), token)

    assert one.body == several.body


async def test_base64_holds_the_same_numbers(door: Door, token: str) -> None:
    as_numbers = await door.ask("embeddings", embed([CATS, SHIPS], encoding_format="float"), token)
    as_base64 = await door.ask("embeddings", embed([CATS, SHIPS], encoding_format="base64"), token)

    for plain, encoded in zip(as_numbers.body["data"], as_base64.body["data"], strict=True):
        assert numbers(encoded["embedding"]) == plain["embedding"]


async def test_dimensions_cut_a_vector_and_make_its_length_one_again(door: Door, token: str) -> None:
    whole = (await door.ask("embeddings", embed(CATS), token)).body["data"][0]["embedding"]
    cut = (await door.ask("embeddings", embed(CATS, dimensions=40), token)).body["data"][0]["embedding"]

    length = math.hypot(*whole[:40])
    assert cut == pytest.approx([value / length for value in whole[:40]], abs=1e-6)


async def test_tokens_are_embedded_like_the_text_they_are_of(door: Door, token: str) -> None:
    texts = [CATS, SHIPS]
    tokens = [(await door.ask("tokenize", {"model": "parrot", "prompt": text}, token)).body["tokens"] for text in texts]

    by_text = await door.ask("embeddings", embed(texts), token)
    assert (await door.ask("embeddings", embed(tokens), token)).body == by_text.body
    first = await door.ask("embeddings", embed(tokens[0]), token)
    assert first.body["data"] == by_text.body["data"][:1]


async def test_documents_come_back_in_the_order_of_their_worth(door: Door, token: str) -> None:
    answer = await door.ask("rerank", rank("a cat on a mat", [SHIPS, MORE_CATS, "a cat"]), token)

    assert answer.status == 200
    assert [one["index"] for one in answer.body["results"]] == [1, 2, 0]
    scores = [one["relevance_score"] for one in answer.body["results"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)
    assert "document" not in {name for one in answer.body["results"] for name in one if one[name] is not None}
    assert answer.body["usage"]["total_tokens"] > 0


async def test_the_best_documents_can_be_given_back_beside_their_scores(door: Door, token: str) -> None:
    documents = [SHIPS, {"text": MORE_CATS}, "a cat"]
    answer = await door.ask("rerank", rank("cat", documents, top_n=2, return_documents=True), token)

    assert [one["document"] for one in answer.body["results"]] == [{"text": MORE_CATS}, {"text": "a cat"}]


async def test_tokens_of_a_text_become_the_text_again(door: Door, token: str) -> None:
    answer = await door.ask("tokenize", {"model": "parrot", "prompt": CATS, "return_token_strs": True}, token)

    assert answer.body["count"] == len(answer.body["tokens"]) == len(answer.body["token_strs"])
    assert answer.body["max_model_len"] == 256
    again = await door.ask("detokenize", {"model": "parrot", "tokens": answer.body["tokens"]}, token)
    assert again.body == {"prompt": CATS}
    bare = await door.ask("tokenize", {"model": "parrot", "prompt": CATS, "add_special_tokens": False}, token)
    assert len(bare.body["tokens"]) < answer.body["count"]


async def test_a_conversation_is_rendered_and_counted_without_an_answer(door: Door, token: str) -> None:
    body = {"model": "parrot", "messages": [{"role": "user", "content": "good morning"}]}

    rendered = await door.ask("apply_template", body, token)
    assert rendered.status == 200
    assert "good morning" in rendered.body["prompt"]
    tokens = await door.ask("tokenize", body, token)
    chat = await door.chat(body, token)
    assert tokens.body["count"] == chat.body["usage"]["prompt_tokens"]


async def test_a_host_counts_tokens_without_seeing_them(door: Door, token: str) -> None:
    body = {"model": "parrot", "messages": [{"role": "user", "content": "good morning"}]}
    counted = await door.app.server.count_tokens(body)

    assert counted.count == (await door.ask("tokenize", body, token)).body["count"]
    assert counted.max_model_len == 256


VERBS = {
    "embeddings": embed("hello"),
    "rerank": rank("hello", ["hello"]),
    "tokenize": {"model": "parrot", "prompt": "hello"},
    "detokenize": {"model": "parrot", "tokens": [0]},
    "apply_template": {"model": "parrot", "messages": [{"role": "user", "content": "hello"}]},
}


@pytest.mark.parametrize("verb", VERBS)
async def test_nobody_reads_with_a_model_that_was_not_granted(door: Door, token: str, verb: str) -> None:
    body = VERBS[verb]

    assert (await door.ask(verb, body, None)).status == 401
    assert (await door.ask(verb, {**body, "model": "secret"}, token)).error["code"] == "model_forbidden"
    assert (await door.ask(verb, {**body, "model": "nobody"}, token)).error["code"] == "model_not_found"
    assert (await door.ask(verb, body, token)).status == 200


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("embeddings", {"input": None}, "input", "required"),
    ("embeddings", {"input": ""}, "input", "at least 1"),
    ("embeddings", {"input": []}, "input", "at least 1"),
    ("embeddings", {"input": ["good", ""]}, "input.1", "at least 1"),
    ("embeddings", {"input": ["good", 7]}, "input.1", "string"),
    ("embeddings", {"input": [1, "good"]}, "input.1", "integer"),
    ("embeddings", {"input": [[]]}, "input.0", "at least 1"),
    ("embeddings", {"input": [-1]}, "input.0", "greater than or equal to 0"),
    ("embeddings", {"input": [2**31]}, "input.0", "less than or equal to"),
    ("embeddings", {"input": [999_999]}, "input.0", "no token 999999"),
    ("embeddings", {"input": [[1], [1, 999_999]]}, "input.1", "no token 999999"),
    ("embeddings", {"input": {"text": "x"}}, "input", "string"),
    ("embeddings", {"input": ["x"] * 2049}, "input", "at most 2048"),
    ("embeddings", {"input": ["short", "word " * 600]}, "input.1", "256"),
    ("embeddings", {"input": "a" * 30_000}, "input.0", "256"),
    ("embeddings", {"encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
    ("embeddings", {"dimensions": 0}, "dimensions", "greater than or equal to 1"),
    ("embeddings", {"dimensions": WIDTH + 1}, "dimensions", str(WIDTH)),
    ("embeddings", {"truncate": True}, "truncate", "not a parameter"),
    ("rerank", {"query": ""}, "query", "at least 1"),
    ("rerank", {"documents": []}, "documents", "at least 1"),
    ("rerank", {"documents": ["good", {"title": "x"}]}, "documents.1", "required"),
    ("rerank", {"documents": [3]}, "documents.0", "dictionary"),
    ("rerank", {"documents": ["x"] * 1001}, "documents", "at most 1000"),
    ("rerank", {"documents": ["good", "word " * 600]}, "documents.1", "256"),
    ("rerank", {"query": "word " * 2000}, "query", "256"),
    ("rerank", {"top_n": 0}, "top_n", "greater than or equal to 1"),
    ("tokenize", {"prompt": None}, "prompt", "either"),
    ("tokenize", {"messages": [{"role": "user", "content": "x"}]}, "prompt", "either"),
    ("tokenize", {"prompt": "word " * 2000}, "prompt", "256"),
    ("tokenize", {"tools": []}, "tools", "belong to 'messages'"),
    (
        "tokenize",
        {"prompt": None, "messages": [{"role": "user", "content": "x"}], "parse_special": True},
        "parse_special",
        "template",
    ),
    ("tokenize", {"prompt": None, "messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "'system'"),
    ("detokenize", {"tokens": [999_999]}, "tokens", "no token 999999"),
    ("detokenize", {"tokens": ["x"]}, "tokens.0", "integer"),
    ("detokenize", {"tokens": [0] * 100_000}, "tokens", "there are 100000 tokens; of a context of"),
    ("apply_template", {"messages": []}, "messages", "at least 1"),
]


@pytest.mark.parametrize(("verb", "change", "param", "says"), REFUSED)
async def test_a_wrong_request_is_refused_by_the_name_of_the_field(
    door: Door, token: str, verb: str, change: dict[str, Any], param: str, says: str
) -> None:
    answer = await door.ask(verb, {**VERBS[verb], **change}, token)

    assert answer.status == 400, answer.body
    assert (answer.error["param"] or "").startswith(param)
    assert says in answer.error["message"]
    assert answer.error["type"] == "invalid_request_error"


async def test_a_text_that_is_too_long_is_told_from_one_that_is_wrong(door: Door, token: str) -> None:
    answer = await door.ask("embeddings", embed(["short", "word " * 600]), token)

    assert answer.error["code"] == "context_length_exceeded"


async def test_a_body_of_too_many_values_is_refused_before_it_is_looked_into(door: Door, token: str) -> None:
    answer = await door.ask("detokenize", {**VERBS["detokenize"], "tokens": [0] * (MAX_VALUES + 1)}, token)

    assert answer.status == 400
    assert answer.error["code"] == "invalid_json"
    assert f"the body has more than {MAX_VALUES} values" in answer.error["message"]


async def test_the_loop_goes_on_while_a_long_body_is_read(door: Door, token: str) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    before, messages = turns, [{"role": "user", "content": [{"type": "text", "text": "a"}] * 8}] * 2000
    answer = await door.ask("apply_template", {"model": "parrot", "messages": messages}, token)
    counting.cancel()

    assert answer.error["code"] == "context_length_exceeded"
    assert turns > before + 1


@pytest.mark.parametrize("is_long", [False, True])
async def test_what_is_long_is_put_into_an_answer_beside_the_loop(
    door: Door, token: str, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    """Each step from what the engine found to the bytes that leave tells in which thread it was done."""
    threads: dict[str, str] = {}
    for module, name in (
        (readings, "encode_embeddings"),
        (readings, "encode_rerank"),
        (readings, "encode_tokens"),
        (routes, "to_json"),
        (routes, "written"),
    ):
        monkeypatch.setattr(module, name, _noting(threads, name, getattr(module, name)))
    texts = [CATS] * (500 if is_long else 2)
    asked = {
        "embeddings": embed(texts),
        "rerank": rank(CATS, texts[:2] if not is_long else texts * 2, return_documents=True),
    }
    for name, body in asked.items():
        answer = await door.ask(name, body, token)
        assert answer.status == 200, answer.body
        assert len(answer.body["data" if name == "embeddings" else "results"]) == len(
            body.get("input", body.get("documents"))
        )
    assert {"encode_embeddings", "encode_rerank"} <= threads.keys()
    assert all(thread.startswith("bodhi-bodies") == is_long for thread in threads.values()), threads


@pytest.mark.parametrize("is_long", [False, True])
async def test_log_probabilities_of_a_long_answer_are_written_beside_the_loop(
    door: Door, token: str, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    threads: dict[str, str] = {}
    for module, name in (
        (facade, "encode_reply"),
        (facade, "encode_completion"),
        (chat_route, "to_json"),
        (completions_route, "to_json"),
    ):
        monkeypatch.setattr(module, name, _noting(threads, f"{module.__name__}.{name}", getattr(module, name)))
    words = " ".join(f"w{number}" for number in range(80 if is_long else 3))
    messages = [{"role": "user", "content": words}]
    asked = {"model": "parrot", "n": 4}
    chat = await door.chat({**asked, "messages": messages, "logprobs": True, "top_logprobs": 1}, token)
    text = await door.complete({**asked, "prompt": words, "logprobs": 1, "max_tokens": 100}, token)
    for choice in chat.body["choices"]:
        content = choice["logprobs"]["content"]
        assert "".join(one["token"] for one in content) == choice["message"]["content"] == words
        assert all(len(one["top_logprobs"]) == 1 for one in content)
    for choice in text.body["choices"]:
        assert "".join(choice["logprobs"]["tokens"]) == choice["text"] == words
        assert len({len(values) for values in choice["logprobs"].values()}) == 1
    assert len(threads) == 2
    assert all(thread.startswith("bodhi-bodies") == is_long for thread in threads.values()), threads


def _noting(threads: dict[str, str], name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **options: Any) -> Any:
        threads[name] = threading.current_thread().name
        return make(*args, **options)

    return noted
