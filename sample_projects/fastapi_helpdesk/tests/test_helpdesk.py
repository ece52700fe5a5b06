"""Tickets come and are summarised; the assistant reads them, and closes one only when a person says so."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from bodhi_fastapi import bodhi_of_host


class Script:
    """Stands in for the verbs of bodhi: the model closes ticket 2, and tells what came of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def chat_completion(self, request: dict[str, Any], *, stream: bool) -> Any:
        last = request["messages"][-1]
        if last["role"] == "tool":
            self.told.append(last["content"])
            return Chunks(content="Done.")
        function = SimpleNamespace(name="close_ticket", arguments='{"number": 2}')
        return Chunks(tool_calls=[SimpleNamespace(index=0, id="call_1", function=function)])


class Chunks:
    """One answer in two chunks, in the shape of OpenAI's."""

    def __init__(self, **delta: Any) -> None:
        whole = {"content": None, "reasoning_content": None, "tool_calls": None, **delta}
        end = "tool_calls" if delta.get("tool_calls") else "stop"
        choice = SimpleNamespace(delta=SimpleNamespace(**whole), finish_reason=end)
        usage = SimpleNamespace(prompt_tokens=1, completion_tokens=1)
        self._chunks = [
            SimpleNamespace(choices=[choice], usage=None),
            SimpleNamespace(choices=[], usage=usage),
        ]

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> Any:
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        self._chunks.clear()


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def status(client: TestClient) -> str:
    return next(one["status"] for one in client.get("/tickets").json() if one["id"] == 2)


def test_a_new_ticket_is_summarised_in_the_background(client: TestClient) -> None:
    new = {"title": "Lamp", "body": "It is dark.", "customer": "Kim"}
    assert client.post("/tickets", json=new).json()["summary"] == ""
    assert client.get("/tickets").json()[0]["summary"].split() == ["Lamp", "It", "is", "dark."]
    assert client.post("/tickets", json={**new, "title": ""}).status_code == 422


@pytest.mark.parametrize("allowed", [True, False])
def test_a_ticket_is_closed_once_and_only_when_a_person_says_so(
    app: FastAPI, client: TestClient, allowed: bool
) -> None:
    script = Script()
    app.dependency_overrides[bodhi_of_host] = lambda: script
    paused = events(client.post("/assistant", json={"text": "Close the second"}).text)[-1]
    assert (paused["outcome"], paused["pending"][0]["arguments"]) == ("approval_needed", {"number": 2})
    assert status(client) == "open"
    path = f"/assistant/{paused['state_id']}"
    ended = events(client.post(path, json={"allowed": allowed}).text)
    assert (ended[-1]["outcome"], ended[-1]["text"]) == ("finished", "Done.")
    assert status(client) == ("closed" if allowed else "open")
    assert ("is closed" in script.told[0]) is allowed
    assert client.post(path, json={"allowed": True}).status_code == 404


def test_the_document_has_the_routes_of_bodhi_beside_ours(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/tickets", "/assistant", "/bodhi/v1/chat/completions"} <= set(paths)
    assert client.get("/bodhi/v1/models").status_code == 401


def test_the_page_of_another_site_may_ask_nothing(client: TestClient) -> None:
    answer = client.post("/assistant", json={"text": "?"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")
