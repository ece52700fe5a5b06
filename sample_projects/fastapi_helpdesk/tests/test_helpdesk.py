"""Tickets come and are summarised; the assistant reads them, and closes one only when a person says so."""

import json
from typing import Any

import pytest
from starlette.testclient import TestClient

from bodhi_asgi import Busy
from bodhi_asgi.testing import Script

LAMP = {"title": "Lamp", "body": "It is dark.", "customer": "Kim"}


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line.startswith("data: ")]


def status(client: TestClient) -> str:
    return next(one["status"] for one in client.get("/tickets").json() if one["id"] == 2)


def test_a_new_ticket_is_summarised_in_the_background(scripted: Script, client: TestClient) -> None:
    scripted.says("Kim needs a new lamp.")
    assert client.post("/tickets", json=LAMP).json()["summary"] == ""
    assert client.get("/tickets").json()[0]["summary"] == "Kim needs a new lamp."
    scripted.assert_asked("It is dark.", system="one short sentence", who="host", temperature=0, max_tokens=60)
    assert client.post("/tickets", json={**LAMP, "title": ""}).status_code == 422


def test_a_ticket_is_taken_in_when_no_model_is_free_to_summarise_it(scripted: Script, client: TestClient) -> None:
    scripted.fails(Busy("everybody asks at once"))
    assert client.post("/tickets", json=LAMP).status_code == 201
    assert client.get("/tickets").json()[0]["summary"] == ""


def test_the_assistant_reads_the_tickets_before_it_answers(scripted: Script, client: TestClient) -> None:
    for number, told in ((2, "I typed it four times."), (99, "there is no ticket 99")):
        scripted.calls("read_ticket", {"number": number})
        scripted.says(lambda asked: f"It says: {asked.results[0]}")
        ended = events(client.post("/assistant", json={"text": f"What does {number} say?"}).text)[-1]
        assert ended["outcome"] == "finished"
        assert told in ended["text"]
    scripted.assert_asked(tools=["close_ticket", "list_tickets", "read_ticket"], times=4)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_ticket_is_closed_once_and_only_when_a_person_says_so(
    scripted: Script, client: TestClient, allowed: bool
) -> None:
    scripted.calls("close_ticket", {"number": 2})
    paused = events(client.post("/assistant", json={"text": "Close the second"}).text)[-1]
    assert (paused["outcome"], paused["pending"][0]["arguments"]) == ("approval_needed", {"number": 2})
    assert status(client) == "open"
    scripted.says("Done.")
    path = f"/assistant/{paused['state_id']}"
    ended = events(client.post(path, json={"allowed": allowed}).text)
    assert (ended[-1]["outcome"], ended[-1]["text"]) == ("finished", "Done.")
    assert status(client) == ("closed" if allowed else "open")
    assert ("is closed" in scripted.last.results[0]) is allowed
    assert client.post(path, json={"allowed": True}).status_code == 404


def test_the_document_has_the_routes_of_bodhi_beside_ours(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/tickets", "/assistant", "/bodhi/v1/chat/completions"} <= set(paths)
    assert client.get("/bodhi/v1/models").status_code == 401


def test_the_page_of_another_site_may_ask_nothing(scripted: Script, client: TestClient) -> None:
    answer = client.post("/assistant", json={"text": "?"}, headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    scripted.assert_nothing_asked()
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'none'")
