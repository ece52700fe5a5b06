"""What a stranger may send, mixed at random: whatever the mixture, the answer is whole or refused by its cause, what
was asked for holds, and nothing is left behind."""

import asyncio
import base64
import json
import random
import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from demo_model.tools import ADD, WEATHER
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import HttpDoor, open_door
from tests.engine.projector_files import picture, png, write_projector

PAIR = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}}, "required": ["a", "b"],
        "additionalProperties": False}  # fmt: skip
BALL = "data:image/png;base64," + base64.b64encode(png(picture("red", "ball"))).decode()
QUESTIONS = ["Hello!", "What is the capital of France?", "Count to twelve", "What is 3 plus 4?", "x " * 300, ""]
AT_ONCE = 6
ROUNDS = {"thread": 3, "process": 8}
"""Where clients, server and engine share an interpreter, a round takes much longer."""


def mixture(rng: random.Random) -> dict[str, Any]:
    """A request of everything that can be asked for, each now and then."""

    def now_and_then(share: float = 0.3) -> bool:
        return rng.random() < share

    content: Any = rng.choice(QUESTIONS)
    if now_and_then():
        content = [{"type": "text", "text": "Repeat after me: "}, {"type": "image_url", "image_url": {"url": BALL}}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if now_and_then():
        messages = [{"role": "system", "content": "You are brief."}, *messages]
    if now_and_then():
        messages += [{"role": "assistant", "content": "Well."}, {"role": "user", "content": rng.choice(QUESTIONS)}]
    body: dict[str, Any] = {
        "model": rng.choice(["sees", "tight"]),
        "messages": messages,
        "max_tokens": rng.choice([1, 2, 8, 40, 120]),
        "temperature": rng.choice([0, 0, 0.7, 2]),
    }
    extras: dict[str, Any] = {
        "n": rng.choice([1, 2, 3]),
        "seed": rng.randrange(100),
        "logprobs": True,
        "stop": rng.choice(["a", ["e", "}"], ["\n"]]),
        "priority": rng.choice([-5, 0, 5]),
        "min_tokens": 3,
        "ignore_eos": True,
        "top_k": 5,
        "min_p": 0.1,
        "repeat_penalty": 1.3,
        "logit_bias": {"65": rng.choice([-100, 5])},
        "stream_options": {"include_usage": True},
    }
    body |= {name: value for name, value in extras.items() if now_and_then(0.25)}
    if body.get("logprobs") and now_and_then(0.5):
        body["top_logprobs"] = rng.choice([1, 5, 20])
    form = rng.choice(["", "", "schema", "object", "regex", "choice", "tools", "required"])
    match form:
        case "schema":
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "p", "schema": PAIR}}
        case "object":
            body["response_format"] = {"type": "json_object"}
        case "regex":
            body["guided_regex"] = "[a-c]{5}"
        case "choice":
            body["guided_choice"] = ["yes", "no", "red ball"]
        case "tools" | "required":
            body |= {"tools": [WEATHER, ADD], "tool_choice": "auto" if form == "tools" else "required"}
    if now_and_then(0.4):
        body["stream"] = True
    elif "stream_options" in body:
        del body["stream_options"]
    return body


def holds(body: dict[str, Any], choice: dict[str, Any]) -> None:
    """What was asked for is true of a choice that came to its own end."""
    message, content = choice["message"], choice["message"]["content"] or ""
    assert choice["finish_reason"] in ("stop", "length", "tool_calls")
    for text in [body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop", []):
        assert text not in content
    if body.get("logprobs"):
        most = body.get("top_logprobs", 0)
        assert all(len(token["top_logprobs"]) <= most for token in choice["logprobs"]["content"])
    if choice["finish_reason"] == "length" or "stop" in body:
        return
    if "guided_regex" in body:
        assert re.fullmatch("[a-c]{5}", content)
    if "guided_choice" in body:
        assert content in body["guided_choice"]
    if form := body.get("response_format"):
        value = json.loads(content)
        assert isinstance(value, dict)
        assert form["type"] == "json_object" or (type(value["a"]), type(value["b"])) == (int, bool)
    if body.get("tool_choice") == "required":
        assert message["tool_calls"]
    for call in message.get("tool_calls") or []:
        arguments = json.loads(call["function"]["arguments"])
        wanted = {"get_weather": {"city": str}, "add": {"a": int, "b": int}}[call["function"]["name"]]
        assert {key: type(value) for key, value in arguments.items()} == wanted


async def sent(client: httpx2.AsyncClient, body: dict[str, Any], token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    response = await client.post("v1/chat/completions", json=body, headers=headers)
    if response.status_code != 200:
        error = response.json()["error"]
        assert response.status_code in (400, 429), (body, error)
        assert error["message"], (body, error)
        return
    if body.get("stream"):
        data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
        assert data[-1] == "[DONE]", (body, data[-1])
        chunks = [json.loads(item) for item in data[:-1]]
        reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
        assert len([reason for reason in reasons if reason]) == body.get("n", 1), body
        return
    answer = response.json()
    assert len(answer["choices"]) == body.get("n", 1), body
    assert answer["usage"]["completion_tokens"] <= body["max_tokens"] * body.get("n", 1)
    for choice in answer["choices"]:
        holds(body, choice)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("isolation", ["thread", "process"])
async def test_whatever_is_mixed_is_answered_or_refused_and_leaves_nothing_behind(
    tmp_path: Path, isolation: str
) -> None:
    projector = write_projector(tmp_path / "projector.gguf")
    demo = str(DEMO_MODEL_PATH)
    models = {
        "sees": {"path": demo, "mmproj": projector, "n_ctx": 1024},
        "tight": {"path": demo, "mmproj": projector, "n_ctx": 256, "speculation": "lookup"},
    }
    engine = {"isolation": isolation, "threads": 1, "slots": 3, "queue_limit": 64, "linger_s": 0}
    app = BodhiApp(data_dir=tmp_path / "data", demo=False, models=models, engine=engine)
    async with open_door("http", app) as door:
        assert isinstance(door, HttpDoor)
        door.client.timeout = httpx2.Timeout(None)  # a busy machine takes its time; the test has a limit of its own
        tokens = [await token_for(door, "sees", "tight") for _ in range(2)]
        rng = random.Random(4)
        for _ in range(ROUNDS[isolation]):
            asked = [asyncio.create_task(sent(door.client, mixture(rng), rng.choice(tokens))) for _ in range(AT_ONCE)]
            if rng.random() < 0.4:  # somebody leaves: where he is then does not matter
                asked[0].cancel()
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        async with asyncio.timeout(60):
            while any(row.running + row.waiting for row in (await door.app.server.loaded_models()).data):
                await asyncio.sleep(0.01)
