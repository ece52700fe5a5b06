"""Who may do what, at every door: deny by default."""

from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Caller, Forbidden
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door, HttpDoor, open_door
from tests.behaviour.test_chat import ask


async def test_nobody_is_let_in_and_told_how_to_get_in(door: Door) -> None:
    answer = await door.chat(ask("hello"), None)

    assert answer.status == 401
    assert "bodhi token create" in answer.error["message"]
    assert "identity=" in answer.error["message"]


async def test_a_made_up_token_is_refused_without_repeating_it(door: Door) -> None:
    answer = await door.chat(ask("hello"), "sk-bodhiapp_madeup.nowhere")

    assert answer.status == 401
    assert "madeup" not in str(answer.body)


async def test_a_changed_token_is_refused(door: Door, token: str) -> None:
    changed = token[:20] + ("A" if token[20] != "A" else "B") + token[21:]

    assert (await door.chat(ask("hello"), changed)).status == 401


async def test_revoked_token_is_refused_at_every_door(door: Door, token: str) -> None:
    assert (await door.models(token)).status == 200
    page = await door.app.server.list_api_tokens()
    await door.app.server.revoke_api_token(page.data[0].id)

    answer = await door.chat(ask("hello"), token)

    assert answer.status == 401
    assert (await door.models(token)).status == 401


async def test_an_unknown_model_is_not_found(door: Door, token: str) -> None:
    answer = await door.chat({**ask("hello"), "model": "nobody"}, token)

    assert answer.status == 404
    assert answer.error["code"] == "model_not_found"
    assert answer.error["param"] == "model"


async def test_a_model_without_a_grant_is_forbidden(door: Door, token: str) -> None:
    answer = await door.chat({**ask("hello"), "model": "secret"}, token)

    assert answer.status == 403
    assert answer.error["code"] == "model_forbidden"
    assert answer.error["param"] == "model"


async def test_a_token_without_grants_sees_and_uses_nothing(door: Door) -> None:
    bare = await token_for(door)

    assert (await door.models(bare)).body["data"] == []
    assert (await door.chat(ask("hello"), bare)).status == 403


async def test_lists_show_only_what_is_granted(door: Door, token: str) -> None:
    listed = await door.models(token)

    assert [model["id"] for model in listed.body["data"]] == ["parrot"]
    assert (await door.model("parrot", token)).body["object"] == "model"
    assert (await door.model("secret", token)).status == 404


async def test_a_token_never_manages_tokens(door: Door, token: str) -> None:
    gate = door.app.server.services.gate
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"authorization", f"Bearer {token}".encode())]}
    caller = await gate.caller_of(scope)
    with pytest.raises(Forbidden):
        await door.app.server.as_caller(caller).list_api_tokens()


async def test_the_audit_trail_is_read_by_who_may(door: Door, token: str) -> None:
    server = door.app.server
    with pytest.raises(Forbidden):
        await server.as_caller(Caller.user("ada")).list_audit_entries()
    page = await server.as_caller(Caller.user("rita", scopes=["audit:read"])).list_audit_entries(page_size=2)
    assert [(row.action, str(row.outcome)) for row in page.data] == [
        ("audit.list", "refused"),
        ("token.create", "done"),
    ]
    assert page.data[0].caller_id == "host:ada"
    assert token.partition(".")[0] not in str(page.data)


def test_the_app_is_inert_until_it_starts(tmp_path: Path) -> None:
    app = BodhiApp(data_dir=tmp_path / "never")

    assert app.status == "new"
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize("name", ["mounted-starlette", "mounted-fastapi", "wrapped-django"])
async def test_the_hosts_own_pages_are_served_beside_us(name: str, settings: dict[str, Any]) -> None:
    async with open_door(name, BodhiApp(**settings)) as door:
        assert isinstance(door, HttpDoor)
        answer = await door.client.get("/", headers={"host": "localhost"})
        page = await door.client.get(str(door.client.base_url).partition("/bodhi")[0] + "/")
    assert answer.status_code == 401
    assert page.text == "the host's own page"
