"""The model files on this machine at every door: listed in the published shape, and never removed under a model."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import Grants, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.events.types import ModelFilesDescribed
from bodhi_asgi.models.types import AliasSpec, FileReference
from tests.behaviour.doors import Door, HttpDoor
from tests.shelf.hub_cache import NEW, HubCache

REPO = "owner/Demo-GGUF"
NAME = "demo-Q8_0.gguf"
MODEL = f"{REPO}:Q8_0"
KEPT = "owner/kept"


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture(params=["thread", "process"])
def settings(tmp_path: Path, cache: HubCache, request: pytest.FixtureRequest) -> dict[str, Any]:
    cache.add(REPO, NAME, DEMO_MODEL_PATH.read_bytes(), ref="main")
    cache.add(REPO, "other-F16.gguf", b"no model", ref="main")
    plain = tmp_path / "plain"
    plain.mkdir()
    shutil.copy(DEMO_MODEL_PATH, plain / "mine.gguf")
    return {
        "data_dir": tmp_path / "data",
        "models": {"kept": str(cache.add(KEPT, "kept.gguf", b"GGUF, and of some model"))},
        "demo": False,
        "hub": {"cache_dir": cache.path},
        "shelf": {"folders": [plain]},
        "engine": {"runner": "echo", "isolation": request.param, "n_ctx": 256, "linger_s": 0},
    }


async def token_for(door: Door, *scopes: Scope, grants: Grants | None = None) -> str:
    created = await door.app.server.create_api_token("t", scopes=scopes, grants=grants or Grants.everything())
    return created.token.reveal()


async def read(door: Door) -> None:
    """Wait until every header has been read."""
    services = door.app.server.services
    with services.events.subscribe(ModelFilesDescribed) as described:
        while await services.shelf.queue_status(await door.app.server.caller()) != "idle":
            await anext(described)


async def test_files_are_listed_with_what_their_headers_tell(door: Door) -> None:
    token = await token_for(door, Scope.MODELS_READ)
    assert (await door.files({}, token)).status == 200
    await read(door)
    answer = await door.files({"sort": "size", "sort_order": "desc", "page_size": "2"}, token)
    assert (answer.status, answer.body["total"], answer.body["page"], answer.body["page_size"]) == (200, 4, 1, 2)
    mine, demo = sorted(answer.body["data"], key=lambda row: row["repo"])
    assert (mine["repo"], mine["filename"], mine["snapshot"]) == ("local/plain", "mine.gguf", "main")
    assert (demo["repo"], demo["filename"], demo["snapshot"]) == (REPO, NAME, NEW)
    assert (demo["size"], demo["model_params"], demo["state"]) == (DEMO_MODEL_PATH.stat().st_size, {}, "read")
    told = demo["metadata"]
    assert told["architecture"]["family"] == "llama"
    assert told["architecture"]["format"] == "gguf"
    assert told["architecture"]["parameter_count"] > 0
    assert told["context"]["max_input_tokens"] > 0
    assert told["capabilities"]["tools"] == {"function_calling": True, "structured_output": True}
    assert told["chat_template"]
    (bad,) = (await door.files({"search": "other"}, token)).body["data"]
    assert (bad["state"], bad["metadata"]) == ("unusable", None)
    assert "GGUF" in bad["problem"]
    assert (await door.files({"capability": "tool_use"}, token)).body["total"] == 2
    assert (await door.files({"capability": "tool_use,vision"}, token)).body["total"] == 0


async def test_a_file_is_removed_unless_a_model_is_loaded_from_it(door: Door, cache: HubCache) -> None:
    token = await token_for(door, Scope.MODELS_WRITE, Scope.INFERENCE, Scope.ENGINES_WRITE, Scope.MODELS_READ)
    link = cache.repo(REPO) / "snapshots" / NEW / NAME
    assert (await door.load(MODEL, {"keep_alive": -1}, token)).status == 200
    await door.app.server.services.shelf._uses.write()
    (row,) = (await door.files({"search": NAME}, token)).body["data"]
    assert row["last_used_at"] is not None
    refused = await door.delete_file(REPO, NAME, token)
    assert (refused.status, refused.error["code"]) == (409, "model_file_in_use")
    assert f"'{MODEL}'" in refused.error["message"]
    assert link.is_file()
    assert (await door.unload(MODEL, token)).status == 204
    answer = await door.delete_file(REPO, NAME, token)
    assert (answer.status, answer.body) == (200, {"files": 1, "freed_bytes": DEMO_MODEL_PATH.stat().st_size})
    assert not link.exists()
    assert (await door.delete_file(REPO, NAME, token)).status == 404


async def test_what_a_caller_may_not_do_is_refused(door: Door) -> None:
    reader = await token_for(door, Scope.MODELS_READ)
    assert (await door.delete_file(REPO, NAME, reader)).status == 403
    assert (await door.files({}, None)).status == 401
    some = await token_for(door, Scope.MODELS_READ, grants=Grants(models=frozenset({f"{REPO}:Q8_0"})))
    assert [row["filename"] for row in (await door.files({}, some)).body["data"]] == [NAME]
    writer = await token_for(door, Scope.MODELS_WRITE)
    kept = await door.delete_file("local/plain", "mine.gguf", writer)
    assert (kept.status, kept.error["code"]) == (409, "model_file_not_ours")
    kept = await door.delete_file(KEPT, "kept.gguf", writer)
    assert (kept.status, kept.error["code"]) == (409, "model_file_in_use")
    assert "the model 'kept' in the settings" in kept.error["message"]
    aliases = door.app.server.services.aliases
    spec = AliasSpec("mine", FileReference(REPO, NAME))
    alias = await aliases.create(await door.app.server.caller(), spec)
    kept = await door.delete_file(REPO, NAME, writer)
    assert (kept.status, kept.error["code"]) == (409, "model_file_in_use")
    assert "the alias 'mine'" in kept.error["message"]
    assert (await door.delete_file(REPO, NAME, writer, force=True)).status == 200
    assert (await aliases.get(await door.app.server.caller(), alias.id)).name == "mine"


async def test_an_alias_is_removed_with_its_file_when_nothing_else_needs_it(door: Door, cache: HubCache) -> None:
    token = await token_for(door, Scope.MODELS_WRITE, Scope.MODELS_READ, Scope.ENGINES_WRITE)
    link = cache.repo(REPO) / "snapshots" / NEW / NAME
    one, other = [
        (await door.alias("create", {"alias": name, "repo": REPO, "filename": NAME}, token=token)).body["id"]
        for name in ("one", "other")
    ]
    refused = await door.alias("delete", one, {"with_file": True}, token=token)
    assert (refused.status, refused.error["code"], refused.error["params"]) == (
        409, "model_file_in_use", {"aliases": "other"},
    )  # fmt: skip
    assert (await door.alias("get", one, token=token)).status == 200
    assert (await door.load(MODEL, {"keep_alive": -1}, token)).status == 200
    loaded = await door.alias("delete", one, {"with_file": True, "force": True}, token=token)
    assert (loaded.status, loaded.error["code"]) == (409, "model_file_in_use")
    assert link.is_file()
    assert (await door.unload(MODEL, token)).status == 204
    assert (await door.alias("delete", one, {"with_file": True, "force": True}, token=token)).status == 200
    assert not link.exists()
    assert (await door.alias("get", one, token=token)).status == 404
    assert (await door.alias("get", other, token=token)).body["size"] is None


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"page": "0"}, "page"),
        ({"page": "-1"}, "page"),
        ({"page": "9" * 30}, "page"),
        ({"page_size": "101"}, "page_size"),
        ({"sort": "path"}, "sort"),
        ({"sort_order": "up"}, "sort_order"),
        ({"size_min": "1e3"}, "size_min"),
        ({"size_max": "٣"}, "size_max"),
        ({"capability": "flight"}, "capability"),
        ({"search": "x" * 300}, "search"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused_by_field(query: dict[str, str], param: str) -> None:
    from bodhi_asgi.errors import Invalid
    from bodhi_asgi.formats.management.files import decode_query
    from bodhi_asgi.shelf.service import check

    with pytest.raises(Invalid) as refused:
        check(decode_query(query))
    assert refused.value.param == param


async def test_headers_are_read_anew_over_http(door: Door) -> None:
    if not isinstance(door, HttpDoor):
        await door.app.server.refresh_model_files()
        return
    headers = {"Authorization": f"Bearer {await token_for(door, Scope.MODELS_READ, Scope.MODELS_WRITE)}"}
    path = "bodhi/v1/models/refresh"
    queued = await door.client.post(path, json={"source": "all"}, headers=headers)
    assert (queued.status_code, queued.json()) == (202, {"num_queued": "all", "alias": None})
    await read(door)
    status = await door.client.get("bodhi/v1/queue", headers=headers)
    assert status.json() == {"status": "idle"}
    one = {"source": "model", "repo": REPO, "filename": NAME, "snapshot": NEW}
    answer = await door.client.post(path, json=one, headers=headers)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["source"], body["alias"], body["access"], body["snapshot"]) == ("model", f"{REPO}:Q8_0", True, NEW)
    assert body["metadata"]["architecture"]["family"] == "llama"
    bad = await door.client.post(path, json={**one, "filename": "other-F16.gguf"}, headers=headers)
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "model_route_error-extraction_failed")
    missing = await door.client.post(path, json={**one, "filename": "none.gguf"}, headers=headers)
    assert missing.status_code == 404
    for body, param in (
        ({"source": "model"}, "repo"),
        ({"source": "some"}, "source"),
        ({**one, "repo": "r" * 300}, "repo"),
    ):
        wrong = await door.client.post(path, json=body, headers=headers)
        assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, param)
    no_file = await door.client.delete("bodhi/v1/models/files", headers=headers)
    assert (no_file.status_code, no_file.json()["error"]["param"]) == (400, "repo")
