"""Names of aliases that are tricks, at each door where one is given: refused by field, and nothing is made of them."""

import json
from collections.abc import AsyncIterator
from itertools import cycle
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from click.testing import CliRunner

from bodhi_asgi import BodhiApp, Grants, Scope
from bodhi_asgi.cli.app import bodhi
from bodhi_asgi.models.errors import AliasNameInvalid
from tests.hub.tricks import BAD_QUANTS, BAD_REPOS, BAD_REVISIONS, CLIMBING
from tests.servers import serving

Client = httpx2.AsyncClient

HARMLESS: Final = frozenset(
    [
        *(
            "C:x",
            "C:/x",
            "x:y",
            "CON",
            "con",
            "nul",
            "NUL.gguf",
            "aux.txt",
            "PRN",
            "COM1",
            "com9.gguf",
            "LPT1",
            "lpt9.x",
        ),
        *("x.", "x..", "x./y", "x/" * 16 + "y", "a", "a/b/c", "a..b/c", "a/b..c", "a--b/c", "a/b--c", "models--a/b"),
        *("a/b.git", "a/b.GIT", "a/.b", "a./b", "a/b.", "a/-b", "a-/b", "a/b-", "a:b/c", "a/b:c", "a/b@c", "x/.y"),
        *("a" * 97 + "/b", "a/" + "b" * 97, "x/-y", "x.lock", "x.lock/y", "x..y", "Q4..K", "Q4/K", "Q4.", "Q4-", "Q:4"),
        "Q" * 65,
    ]
)
"""What would be a trick as a file, and is a plain word as a name: no name of an alias becomes a part of a path."""

BAD_NAMES: Final = sorted(
    {*CLIMBING, *BAD_REPOS, *BAD_REVISIONS, *BAD_QUANTS, "x" * 129, ":x", "@x", "+x", "_x", "-rf", "--help"} - HARMLESS
)
MADE: Final = {"repo": "bodhi/settings", "filename": "parrot"}


def is_text(name: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in name)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[BodhiApp]:
    """A server with one model and the alias ``there``."""
    app = BodhiApp(
        data_dir=tmp_path / "data",
        hub={"cache_dir": tmp_path / "cache", "mode": "offline"},
        models={"parrot": "parrot"},
        demo=False,
        engine={"runner": "echo", "isolation": "thread"},
    )
    async with app.server:
        await app.server.aliases.create({"alias": "there", **MADE})
        yield app


async def only_what_was_there(app: BodhiApp, tmp_path: Path) -> bool:
    names = [model.alias for model in (await app.server.aliases.list()).data]
    return names == ["parrot", "there"] and [path.name for path in tmp_path.iterdir()] == ["data"]


def test_there_are_enough_of_them() -> None:
    assert len(BAD_NAMES) >= 200
    assert max(map(len, HARMLESS)) <= 128


async def test_the_direct_door_names_the_field(app: BodhiApp, tmp_path: Path) -> None:
    aliases = app.server.aliases
    (made,) = [model for model in (await aliases.list()).data if model.source == "user"]
    for name in BAD_NAMES:
        asked = {"alias": name, **MADE}
        for attempt in (aliases.create(asked), aliases.update(made.id, asked), aliases.copy(made.id, name)):
            with pytest.raises(AliasNameInvalid) as refused:
                await attempt
            assert refused.value.param == "alias", name
            assert refused.value.message.isprintable(), name
    assert await only_what_was_there(app, tmp_path)


async def test_over_http_each_is_a_400_that_names_the_field(app: BodhiApp, tmp_path: Path) -> None:
    made = await app.server.create_api_token(
        "m", scopes=[Scope.MODELS_READ, Scope.MODELS_WRITE], grants=Grants.everything()
    )
    headers = {"Authorization": f"Bearer {made.token.reveal()}", "Content-Type": "application/json"}
    async with serving(app) as base, Client(base_url=f"{base}/bodhi/v1/models", headers=headers, timeout=60) as client:
        alias = (await client.get("", params={"type": "model_alias"})).json()["data"][0]["id"]
        routes = (("POST", "alias", MADE), ("PUT", f"alias/{alias}", MADE), ("POST", f"alias/{alias}/copy", {}))
        for name, (method, path, more) in zip(BAD_NAMES, cycle(routes), strict=False):
            answer = await client.request(method, path, content=json.dumps({"alias": name, **more}))
            assert answer.status_code == 400, (name, path, answer.text)
            assert answer.json()["error"]["param"] == "alias" or not is_text(name), (name, answer.text)
    assert await only_what_was_there(app, tmp_path)


async def test_names_that_only_look_like_tricks_are_names(app: BodhiApp, tmp_path: Path) -> None:
    for name in sorted(HARMLESS):
        made = await app.server.aliases.create({"alias": name, **MADE})
        question: dict[str, Any] = {"model": name, "messages": [{"role": "user", "content": "hello"}]}
        assert (await app.server.chat_completion(question)).choices[0].message.content == "hello"
        await app.server.aliases.delete(made.id)
    assert await only_what_was_there(app, tmp_path)


def test_at_the_command_line_each_ends_with_a_sentence_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_DATA_DIR", str(tmp_path / "data"))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('model = "parrot"')
    for name in filter(is_text, BAD_NAMES):
        for command in (["create", "--file", str(recipe), "--", name], ["cp", "--", "parrot", name]):
            result = CliRunner().invoke(bodhi, command)
            assert (result.exit_code, result.stdout) == (2, ""), (command, result.output)
            assert result.stderr.startswith("Error: a model cannot be called "), (command, result.stderr)
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]
