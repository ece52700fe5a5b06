"""The abort list as clients, operators and publishers of models bring it: over HTTP, in aliases, settings and files.

Whatever comes, the host answers, and the engine that was there before is there after it.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bodhi_asgi import BodhiApp, BodhiServer, Grants, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.errors import BodhiError
from tests.engine.gguf_files import rewrite
from tests.faults.abort_list import (
    ANSWERED,
    RAW,
    REFUSED_CHATS,
    REFUSED_COMPLETIONS,
    SETTINGS,
    chat,
    completion,
)
from tests.faults.test_abort_list import CONTRADICTIONS, set_to
from tests.servers import serving

CHATS = "/v1/chat/completions"
SCOPES = (Scope.MODELS_READ, Scope.MODELS_WRITE, Scope.INFERENCE, Scope.ENGINES_READ)


class Witness:
    """A client of a running host, who looks after every request whether the same engine is there, and answers."""

    def __init__(self, app: BodhiApp, client: httpx2.AsyncClient) -> None:
        self.app = app
        self.client = client

    async def engines(self) -> dict[str, int]:
        listed = await self.client.get("/bodhi/v1/engines")
        assert listed.status_code == 200, listed.text
        return {row["model"]: row["pid"] for row in listed.json()["data"] if row["state"] == "ready"}

    async def post(self, path: str, body: Any) -> httpx2.Response:
        kind = {"content-type": "application/json"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=kind)

    async def is_well(self, before: dict[str, int]) -> None:
        assert await self.engines() == before
        answer = await self.post(CHATS, chat())
        assert answer.status_code == 200, answer.text


@pytest.fixture(params=["thread", "process"])
async def witness(request: pytest.FixtureRequest, tmp_path: Path, root: Path) -> AsyncIterator[Witness]:
    falcon = rewrite(DEMO_MODEL_PATH, root / "falcon.gguf", keys={"tokenizer.ggml.pre": set_to("falcon")})
    app = BodhiApp(
        data_dir=tmp_path / "data",
        models={"falcon": str(falcon)},
        hub={"mode": "offline"},
        engine={"isolation": request.param, "threads": 1, "n_ctx": 1024, "slots": 2, "linger_s": 0},
    )
    async with serving(app) as base, app:
        created = await app.server.create_api_token("test", scopes=SCOPES, grants=Grants.everything())
        headers = {"authorization": f"Bearer {created.token.reveal()}"}
        async with httpx2.AsyncClient(base_url=base, timeout=60, headers=headers) as client:
            found = Witness(app, client)
            assert (await found.post(CHATS, chat())).status_code == 200
            yield found


@pytest.mark.timeout(240)
async def test_what_a_check_can_see_is_refused_and_ends_nothing(witness: Witness) -> None:
    before = await witness.engines()
    for path, bodies in ((CHATS, REFUSED_CHATS), ("/v1/completions", REFUSED_COMPLETIONS)):
        for name, body in bodies.items():
            answer = await witness.post(path, body)
            assert 400 <= answer.status_code < 500, (name, answer.text[:500])
            assert answer.json()["error"]["message"], name
    for name, content in RAW.items():
        answer = await witness.post(CHATS, content)
        assert 400 <= answer.status_code < 500, (name, answer.text[:500])
    unknown = await witness.post(CHATS, {**chat(), "model": "no-such-model"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    await witness.is_well(before)


@pytest.mark.timeout(240)
async def test_what_is_hard_and_allowed_is_answered_by_the_engine_that_was_there(witness: Witness) -> None:
    before = await witness.engines()
    for name, body in ANSWERED.items():
        answer = await witness.post(CHATS, body)
        assert answer.status_code in (200, 400), (name, answer.text[:500])
        if answer.status_code == 400:
            assert answer.json()["error"]["message"], name
    await witness.is_well(before)


@pytest.mark.timeout(240)
async def test_long_unbroken_texts_end_no_tokenizer(witness: Witness) -> None:
    assert (await witness.post("/v1/completions", {**completion("a"), "model": "falcon"})).status_code == 200
    before = await witness.engines()
    for model in ("demo", "falcon"):
        for piece in ("a", "0", " ", "\n", "é", "你", "😀", "\u200b"):
            for size in (1_600, 12_000, 30_000, 200_000):
                answer = await witness.post("/v1/completions", {**completion(piece * size), "model": model})
                assert answer.status_code in (200, 400), (model, piece, size, answer.text[:500])
            counted = await witness.post("/v1/tokenize", {"model": model, "text": piece * 12_000})
            assert counted.status_code in (200, 400), (model, piece, counted.text[:500])
    await witness.is_well(before)


async def test_settings_that_end_engines_are_refused_as_aliases_and_as_flags(witness: Witness) -> None:
    before = await witness.engines()
    for name, (settings, flags) in SETTINGS.items():
        for told in ({"settings": settings}, {"context_params": flags}):
            body = {"alias": "odd", "repo": "bodhi/settings", "filename": "demo", **told}
            answer = await witness.post("/bodhi/v1/models/alias", body)
            assert answer.status_code == 400, (name, told, answer.text)
            assert "settings" in answer.text or "context_params" in answer.text, (name, answer.text)
    body = {"alias": "absent", "repo": "owner/repo", "filename": "none.gguf"}
    assert (await witness.post("/bodhi/v1/models/alias", body)).status_code == 201
    answer = await witness.post(CHATS, {**chat(), "model": "absent"})
    assert answer.status_code in (404, 503), answer.text
    assert answer.json()["error"]["message"]
    await witness.is_well(before)


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_end_engines_are_refused_where_the_server_is_made(name: str, tmp_path: Path) -> None:
    settings, _ = SETTINGS[name]
    for told in ({"engine": settings}, {"models": {"odd": {"path": str(DEMO_MODEL_PATH), **settings}}}):
        if "mmproj" in settings and "models" in told:
            continue  # a file that is named there is looked at when the model is loaded
        with pytest.raises(BodhiError):
            BodhiServer(data_dir=tmp_path / "data", **told)


FILES = (
    *("no layers", "an odd rope", "tiny heads", "one token", "the same token everywhere", "no bytes among the tokens"),
    *("bytes declared as word pieces", "bytes declared as rwkv", "a template that never ends"),
)
"""Of those that contradict themselves: one of each kind that has ended a process, or hung it."""


@pytest.mark.timeout(240)
async def test_files_that_end_engines_are_imported_listed_and_refused(tmp_path: Path, root: Path) -> None:
    shelf = root / "shelf"
    shelf.mkdir()
    for name in FILES:
        rewrite(DEMO_MODEL_PATH, shelf / f"{name.replace(' ', '-')}.gguf", keys=CONTRADICTIONS[name])
    (shelf / "no-file-at-all.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    (shelf / "missing-adapter.gguf").write_bytes(DEMO_MODEL_PATH.read_bytes())
    app = BodhiApp(
        data_dir=tmp_path / "data",
        models={
            "adapted": {"path": str(DEMO_MODEL_PATH), "adapters": {"gone": str(root / "gone.gguf")}},
            "seen": {"path": str(DEMO_MODEL_PATH), "mmproj": str(shelf / "missing-adapter.gguf")},
            "guessed": {"path": str(DEMO_MODEL_PATH), "draft": str(shelf / "no-file-at-all.gguf")},
        },
        shelf={"folders": [str(shelf)]},
        hub={"mode": "offline"},
        engine={"threads": 1, "n_ctx": 256, "slots": 2, "linger_s": 0},
    )
    async with serving(app) as base, app:
        created = await app.server.create_api_token("test", scopes=SCOPES, grants=Grants.everything())
        headers = {"authorization": f"Bearer {created.token.reveal()}"}
        async with httpx2.AsyncClient(base_url=base, timeout=60, headers=headers) as client:
            witness = Witness(app, client)
            assert (await witness.post(CHATS, chat())).status_code == 200
            demo = (await witness.engines())["demo"]
            listed = await client.get("/v1/models")
            assert listed.status_code == 200, listed.text
            asked = {model["id"] for model in listed.json()["data"]} - {"demo"}
            assert {"adapted", "seen", "guessed"} < asked
            for model in sorted(asked):
                answer = await witness.post(CHATS, {**chat(max_tokens=1), "model": model})
                # Nonsense is answered, or the model is refused by name; nothing is ever a fault of ours.
                assert answer.status_code in (200, 400, 404, 422, 503), (model, answer.text)
                if answer.status_code != 200:
                    assert answer.json()["error"]["message"], model
                assert (await witness.engines())["demo"] == demo
            assert (await witness.post(CHATS, chat())).status_code == 200
