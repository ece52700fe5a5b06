"""Tickets come and are summarised; the assistant reads them, and closes one only when a person says so."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient


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
def test_a_ticket_is_closed_once_and_only_when_a_person_says_so(script: Any, client: TestClient, allowed: bool) -> None:
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
