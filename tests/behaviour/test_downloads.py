"""A model from the hub at every door: pulled, followed, steered and listed, in the shapes that clients know."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiError, Scope
from bodhi_asgi.formats.management.errors import error_body
from tests.behaviour.doors import Answer, DirectDoor, Door
from tests.hub.server import Fault, Hub, serving_hub

REPO = "acme/small-GGUF"
FILE = "small-Q8_0.gguf"
DATA = bytes(range(256)) * 4000
PULL = "bodhi/v1/models/files/pull"
WIRE = {"id", "repo", "filename", "status", "error", "total_bytes", "downloaded_bytes", "started_at", "archived_at",
        "created_at", "updated_at"}  # fmt: skip


@pytest.fixture
def hub() -> Hub:
    hub = Hub()
    hub.add(REPO, {FILE: DATA})
    return hub


@pytest.fixture
async def settings(tmp_path: Path, hub: Hub) -> AsyncIterator[dict[str, Any]]:
    async with serving_hub(hub) as endpoint:
        yield {
            "data_dir": tmp_path / "data",
            "demo": False,
            "engine": {"runner": "echo", "isolation": "thread"},
            "hub": {"endpoint": endpoint, "cache_dir": tmp_path / "cache", "retries": 0},
        }


async def manager(door: Door, *scopes: Scope) -> str:
    """A token that may manage models."""
    made = await door.app.server.create_api_token("manager", scopes=scopes or [Scope.MODELS_WRITE])
    return made.token.reveal()


async def pull(door: Door, token: str, **body: str) -> Answer:
    if isinstance(door, DirectDoor):
        reference = body["repo"] + (f"/{body['filename']}" if "filename" in body else "")
        return await answered(door, 201, door._verbs(token).pull_model(reference))
    return await asked(door, "POST", "", token, json=body)


async def steer(door: Door, token: str, verb: str, id_: str) -> Answer:
    if isinstance(door, DirectDoor):
        return await answered(door, 200, getattr(door._verbs(token).downloads, verb)(id_))
    method, path = ("GET", f"/{id_}") if verb == "get" else ("POST", f"/{id_}/{verb}")
    return await asked(door, method, path, token)


async def listed(door: Door, token: str, **query: Any) -> Answer:
    if isinstance(door, DirectDoor):
        return await answered(door, 200, door._verbs(token).downloads.list(**query))
    return await asked(door, "GET", "", token, params=query)


async def followed(door: Door, token: str, id_: str) -> list[dict[str, Any]]:
    """All that is told of a download up to its end."""
    if isinstance(door, DirectDoor):
        return [now.model_dump() async for now in await door._verbs(token).downloads.follow(id_)]
    async with door.client.stream("GET", f"{PULL}/{id_}/events", headers=bearer(token)) as response:  # type: ignore[attr-defined]
        assert response.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) async for line in response.aiter_lines() if line.startswith("data: ")]


async def answered(door: Door, status: int, call: Any) -> Answer:
    try:
        result = await call
    except BodhiError as error:
        return Answer(error.status, error_body(error))
    return Answer(status, (result.now if hasattr(result, "now") else result).model_dump())


async def asked(door: Any, method: str, path: str, token: str, **options: Any) -> Answer:
    response = await door.client.request(method, PULL + path, headers=bearer(token), **options)
    return Answer(response.status_code, response.json())


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_model_is_pulled_and_followed_to_its_end(door: Door) -> None:
    token = await manager(door)
    answer = await pull(door, token, repo=REPO, filename=FILE)
    assert (answer.status, answer.body["status"], answer.body["repo"]) == (201, "pending", REPO)
    assert set(answer.body) >= WIRE
    told = await followed(door, token, answer.body["id"])
    assert (told[-1]["status"], told[-1]["state"], told[-1]["error"]) == ("completed", "completed", None)
    assert told[-1]["downloaded_bytes"] == told[-1]["total_bytes"] == len(DATA)
    one = await steer(door, token, "get", answer.body["id"])
    assert (one.status, one.body["status"]) == (200, "completed")
    (row,) = (await listed(door, token)).body["data"]
    assert row == one.body
    archived = await steer(door, token, "archive", answer.body["id"])
    assert archived.body["archived_at"] is not None


async def test_a_download_is_steered(door: Door, hub: Hub) -> None:
    token = await manager(door)
    hub.fault("cdn", Fault(hang_after=500_000))
    id_ = (await pull(door, token, repo=REPO, filename=FILE)).body["id"]
    assert (await steer(door, token, "pause", id_)).body["state"] == "paused"
    assert (await steer(door, token, "archive", id_)).error["code"].endswith("cannot_archive_active")
    assert (await steer(door, token, "resume", id_)).body["state"] == "queued"
    cancelled = await steer(door, token, "cancel", id_)
    assert (cancelled.body["status"], cancelled.body["error"]) == ("error", "it was cancelled")
    hub.mend()
    assert (await steer(door, token, "retry", id_)).body["status"] == "pending"
    assert (await followed(door, token, id_))[-1]["status"] == "completed"
    for verb, code in (("retry", "not_retryable"), ("pause", "not_active")):
        refused = await steer(door, token, verb, id_)
        assert (refused.status, refused.error["code"]) == (400, f"download_service_error-{code}")


async def test_what_cannot_be_pulled_is_said_with_its_code(door: Door) -> None:
    token = await manager(door)
    missing = await pull(door, token, repo="acme/none-GGUF", filename=FILE)
    assert (missing.status, missing.error["code"]) == (404, "hub_service_error-may_not_exist")
    other = await pull(door, token, repo=REPO, filename="other.gguf")
    assert (other.status, other.error["code"]) == (404, "hub_service_error-file_not_found")
    unknown = await steer(door, token, "get", "01H000000000000000000000NO")
    assert (unknown.status, unknown.error["code"]) == (404, "db_error-item_not_found")


async def test_it_needs_the_permission_to_manage_models(door: Door) -> None:
    token = await manager(door, Scope.MODELS_READ, Scope.INFERENCE)
    for refused in (await pull(door, token, repo=REPO, filename=FILE), await listed(door, token)):
        assert (refused.status, refused.error["code"]) == (403, "scope_missing")


@pytest.mark.parametrize("door", ["http"], indirect=True)
async def test_over_http_the_answers_are_those_that_clients_know(door: Door) -> None:
    token = await manager(door)
    first = await pull(door, token, repo=REPO, filename=FILE)
    again = await pull(door, token, repo=REPO, filename=FILE)
    assert (first.status, again.status in (200, 400)) == (201, True)
    await followed(door, token, first.body["id"])
    present = await pull(door, token, repo=REPO, filename=FILE)
    assert (present.status, present.error["code"]) == (400, "model_route_error-file_already_exists")
    query = {"sort": "repo", "sort_order": "asc", "state": "completed", "archived": "false", "search": "small"}
    answer = await asked(door, "GET", "", token, params=query)
    assert (answer.status, answer.body.get("total")) == (200, 1), answer


BAD_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "repo"),
    ({"repo": 7}, "repo"),
    ({"repo": "small"}, "repo"),
    ({"repo": "../etc/passwd"}, "repo"),
    ({"repo": "a/b/c"}, "repo"),
    ({"repo": REPO, "filename": "../../x.gguf"}, "filename"),
    ({"repo": REPO, "filename": "/etc/x.gguf"}, "filename"),
    ({"repo": REPO, "filename": "x" * 3000}, "filename"),
    ({"repo": REPO, "quant": "../Q4"}, "quant"),
    ({"repo": REPO, "quant": "Q9_Z"}, "quant"),
    ({"repo": REPO, "quant": "Q8_0", "filename": FILE}, "quant"),
    ({"repo": REPO, "revision": "../main"}, "revision"),
    ({"repo": REPO, "where": "/tmp"}, "where"),
]


@pytest.mark.parametrize("door", ["http"], indirect=True)
async def test_bad_bodies_and_queries_are_refused_by_field(door: Door, tmp_path: Path) -> None:
    token = await manager(door)
    for body, param in BAD_BODIES:
        refused = await asked(door, "POST", "", token, json=body)
        assert refused.status in (400, 404), (body, refused)
        assert refused.error["param"] == param, (body, refused)
    for query in ("page=0", "page=x", "page_size=101", "sort=owner_id", "sort_order=up", "state=done", "archived=1"):
        refused = await asked(door, "GET", f"?{query}", token)
        assert (refused.status, refused.error["param"]) == (400, query.partition("=")[0])
    assert not (tmp_path / "cache").exists()
