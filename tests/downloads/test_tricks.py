"""Names that are tricks, at each door of a pull: refused by field, nothing asked of the hub, nothing written."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from bodhi_asgi import BodhiApp, BodhiError, BodhiServer, Grants, Scope
from bodhi_asgi.cli.app import bodhi
from bodhi_asgi.downloads.types import PullRequest
from bodhi_asgi.hub.errors import HubReferenceInvalid
from tests.hub.server import Hub
from tests.hub.tricks import BAD_QUANTS, BAD_REPOS, BAD_REVISIONS, CLIMBING
from tests.servers import serving

Settings = dict[str, Any]
MADE_UP = ["bodhi/settings", "Bodhi/Settings", "local/models", "LOCAL/x"]
FIELDS: dict[str, tuple[list[str], dict[str, str]]] = {
    "repo": (BAD_REPOS + MADE_UP, {}),
    "filename": (CLIMBING, {"repo": "owner/repo"}),
    "revision": (BAD_REVISIONS, {"repo": "owner/repo"}),
    "quant": (BAD_QUANTS, {"repo": "owner/repo"}),
}
WRITTEN: dict[str, Callable[[str], str]] = {
    "repo": lambda text: text,
    "filename": lambda text: f"owner/repo/{text}",
    "revision": lambda text: f"owner/repo@{text}",
    "quant": lambda text: f"owner/repo:{text}",
}


def written() -> list[str]:
    """Every trick as a part of a reference; together with what is around it, some are a plain name again."""
    return [WRITTEN[field](text) for field, (texts, _) in FIELDS.items() for text in texts]


def files_below(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "data"]


def test_there_are_enough_of_them() -> None:
    assert len(written()) >= 280


async def test_the_verb_names_the_field(server: BodhiServer, hub: Hub, tmp_path: Path) -> None:
    caller = await server.caller()
    for field, (texts, rest) in FIELDS.items():
        for text in texts:
            with pytest.raises(HubReferenceInvalid) as caught:
                await server.services.downloads.pull(caller, PullRequest(**{**rest, field: text}))
            assert caught.value.param == field, text
    assert hub.seen == []
    assert files_below(tmp_path) == []


async def test_over_http_each_is_a_400_that_names_the_field(settings: Settings, hub: Hub, tmp_path: Path) -> None:
    app = BodhiApp(**settings)
    async with serving(app) as base, httpx2.AsyncClient(base_url=base, timeout=60) as client:
        made = await app.server.create_api_token("m", scopes=[Scope.MODELS_WRITE], grants=Grants.everything())
        headers = {"Authorization": f"Bearer {made.token.reveal()}", "Content-Type": "application/json"}
        for field, (texts, rest) in FIELDS.items():
            for text in texts:
                body = json.dumps({**rest, field: text})
                answer = await client.post("/bodhi/v1/models/files/pull", content=body, headers=headers)
                assert answer.status_code == 400, (field, text, answer.text)
                is_text = not any("\ud800" <= char <= "\udfff" for char in text)
                assert answer.json()["error"]["param"] == field or not is_text, (text, answer.text)
    assert hub.seen == []
    assert files_below(tmp_path) == []


async def test_as_references_they_are_refused_or_names_of_what_the_hub_does_not_have(
    server: BodhiServer, hub: Hub, tmp_path: Path
) -> None:
    for text in written():
        with pytest.raises(BodhiError) as caught:
            await server.pull_model(text)
        assert caught.value.status in (400, 404), text
        assert caught.value.message.isprintable()
    assert (await server.downloads.list()).total == 0
    assert files_below(tmp_path) == []


def test_at_the_command_line_each_ends_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("BODHI_HUB__CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("BODHI_HUB__MODE", "offline")
    monkeypatch.setenv("BODHI_ENGINE__RUNNER", "echo")
    monkeypatch.setenv("BODHI_ENGINE__ISOLATION", "thread")
    for text in written():
        if any("\ud800" <= char <= "\udfff" for char in text):
            continue  # no terminal gives that
        result = CliRunner().invoke(bodhi, ["pull", "--", text])
        assert result.exit_code not in (0, 1), (text, result.output)
        assert "Error: " in result.output, text
        assert "Traceback" not in result.output
    assert files_below(tmp_path) == []
