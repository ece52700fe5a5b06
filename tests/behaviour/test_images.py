"""Pictures in messages at every door: a model with a projector names them, and what is wrong has its place named."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.projector_files import picture, png, write_projector


@pytest.fixture(scope="module")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_projector(tmp_path_factory.mktemp("images") / "projector.gguf")


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, projector: Path) -> dict[str, Any]:
    return {
        "data_dir": tmp_path / "data",
        "models": {"sees": {"path": str(DEMO_MODEL_PATH), "mmproj": projector}, "reads": str(DEMO_MODEL_PATH)},
        "demo": False,
        "limits": {"image_bytes": 4000, "image_pixels": 40_000},
        "engine": {"isolation": request.param, "n_ctx": 512, "slots": 2, "threads": 1},
    }


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ask(*urls: str, model: str = "sees", **extra: Any) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "Repeat after me: "}]
    parts += [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    return {"model": model, "temperature": 0, "messages": [{"role": "user", "content": parts}], **extra}


BALL = png(picture("red", "ball"))
BOX = png(picture("blue", "box", 64))


async def test_a_picture_is_named_whole_and_streamed(door: Door) -> None:
    token = await token_for(door, "sees")
    ball, box = await door.chat(ask(url(BALL)), token), await door.chat(ask(url(BOX, "image/jpeg")), token)
    chunks = await door.stream(ask(url(BALL)), token)

    assert (ball.text, box.text) == ("red ball", "blue box")
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "red ball"
    assert ball.body["usage"]["prompt_tokens"] == box.body["usage"]["prompt_tokens"]


async def test_several_answers_to_a_picture_read_it_once(door: Door) -> None:
    token = await token_for(door, "sees")
    one, three = await door.chat(ask(url(BALL)), token), await door.chat(ask(url(BALL), n=3), token)
    chunks = await door.stream(ask(url(BALL), n=2), token)

    assert [choice["message"]["content"] for choice in three.body["choices"]] == ["red ball"] * 3
    assert three.body["usage"]["prompt_tokens"] == one.body["usage"]["prompt_tokens"]
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    for index in range(2):
        said = (choice["delta"].get("content") or "" for choice in choices if choice["index"] == index)
        assert "".join(said) == "red ball"


async def test_the_next_turn_of_a_conversation_does_not_compute_its_picture_again(door: Door) -> None:
    token = await token_for(door, "sees")
    first = await door.chat(ask(url(BALL)), token)
    body = ask(url(BALL))
    body["messages"] += [{"role": "assistant", "content": first.text}, {"role": "user", "content": "Hello!"}]
    second = await door.chat(body, token)
    assert second.status == 200, second.body
    usage = second.body["usage"]
    # The last token of an answer is drawn and was never computed.
    told = first.body["usage"]["prompt_tokens"] + first.body["usage"]["completion_tokens"] - 1
    assert told - 1 <= usage["prompt_tokens_details"]["cached_tokens"] < usage["prompt_tokens"]
    chunks = await door.stream({**body, "stream_options": {"include_usage": True}}, token)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]) == second.text
    assert chunks[-1]["usage"]["prompt_tokens_details"]["cached_tokens"] >= told - 1


async def test_a_picture_is_seen_beside_tools_and_told_in_a_form_with_probabilities(door: Door) -> None:
    token = await token_for(door, "sees")
    names = ["blue box", "red ball", "green cross"]
    answer = await door.chat(ask(url(BALL), n=2, guided_choice=names, logprobs=True, top_logprobs=2), token)
    assert answer.status == 200, answer.body
    for choice in answer.body["choices"]:
        assert choice["message"]["content"] == "red ball"
        assert len(choice["logprobs"]["content"]) == 4
    named = {"type": "object", "properties": {"what": {"enum": names}}, "required": ["what"]}
    tool = {"type": "function", "function": {"name": "show", "parameters": {**named, "additionalProperties": False}}}
    calling = ask(url(BALL), tools=[tool], tool_choice="required", parallel_tool_calls=False, n=2, max_tokens=90)
    answer = await door.chat(calling, token)
    assert answer.status == 200, answer.body
    for choice in answer.body["choices"]:
        (call,) = choice["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"])["what"] in names
        assert choice["finish_reason"] == "tool_calls"


WHERE = "messages.0.content.1.image_url.url"
WRONG: list[tuple[dict[str, Any], str, str]] = [
    (ask("https://example.org/ball.png"), WHERE, "begins with 'https:': nothing is fetched"),
    (ask("http://169.254.169.254/latest"), WHERE, "begins with 'http:'"),
    (ask("file:///etc/passwd"), WHERE, "begins with 'file:'"),
    (ask("/etc/passwd"), WHERE, "no data URL"),
    (ask("data:text/plain;base64,aGk="), WHERE, "no data URL of an image"),
    (ask("data:image/png,raw"), WHERE, "no data URL of an image"),
    (ask("data:image/png;base64,@@@@"), WHERE, "no valid base64"),
    (ask(url(b"RIFF0000WEBPVP8 ", "image/webp")), WHERE, "a WebP file; PNG, JPEG and GIF are accepted"),
    (ask(url(b"plain text")), WHERE, "no picture that can be read"),
    (ask(url(BALL[:60])), "messages", "damaged or cut off"),
    (ask(url(png(picture("red", "ball", 201)))), WHERE, "201 by 201 pixels; at most 40000"),
    (ask(url(BALL + bytes(4000))), WHERE, "more than 4000 bytes"),
    (ask(*[url(BALL)] * 5), "messages.0.content.5.image_url.url", "a request may have 4 images"),
    (ask(url(BALL), model="reads"), "messages", "reads no images"),
    ({"model": "sees", "messages": [{"role": "user", "content": [{"type": "a"}]}]}, "messages.0.content.0", "'text'"),
    (
        {"model": "sees", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]}]},
        "messages.0.content.0.image_url.url",
        "string",
    ),
    (
        {"model": "sees", "messages": [{"role": "assistant", "content": ask(url(BALL))["messages"][0]["content"]}]},
        "messages.0.content.1",
        "only messages of the role 'user'",
    ),
]  # fmt: skip


async def test_what_cannot_be_read_is_refused_by_its_place_and_the_model_goes_on(door: Door) -> None:
    token = await token_for(door, "sees", "reads")
    for body, param, reason in WRONG:
        answer = await door.chat(body, token)
        assert (answer.status, answer.error["param"]) == (400, param), answer.error
        assert reason in answer.error["message"]
    assert (await door.chat(ask(url(BALL)), token)).text == "red ball"


async def test_a_mark_that_somebody_writes_himself_is_no_image(door: Door) -> None:
    token = await token_for(door, "sees")
    body = ask(url(BALL))
    body["messages"][0]["content"][0]["text"] = "Repeat \ufdd2 after me: "
    assert (await door.chat(body, token)).status == 200
