"""Two of us in one host of any kind, each with its own data directory: neither knows of the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Grants
from tests.asgi.guests import KINDS, hosting
from tests.behaviour.doors import django_application

HELLO = {"messages": [{"role": "user", "content": "hello there"}]}


@pytest.mark.parametrize("kind", KINDS)
def test_two_with_their_own_data_directories_live_in_one_process(
    kind: str, make_app: Callable[..., BodhiApp], tmp_path: Path
) -> None:
    if kind == "django":
        django_application()
    guests = {"/one": make_app(), "/two": make_app(models={"other": "x"})}
    with TestClient(hosting(kind, guests), base_url="http://localhost") as client:

        def chat(path: str, model: str, token: str) -> Any:
            headers = {"authorization": f"Bearer {token}"}
            return client.post(f"{path}/v1/chat/completions", json={**HELLO, "model": model}, headers=headers)

        def token(path: str) -> str:
            bodhi = guests[path].server
            return client.portal.call(lambda: bodhi.create_api_token("t", grants=Grants.everything())).token.reveal()  # type: ignore[union-attr]

        one, two = token("/one"), token("/two")
        for path, model, own, others in (("/one", "parrot", one, two), ("/two", "other", two, one)):
            assert chat(path, model, own).json()["choices"][0]["message"]["content"] == "hello there"
            assert chat(path, model, others).status_code == 401
        assert chat("/one", "other", one).status_code == 404
    assert {guest.status for guest in guests.values()} == {"stopped"}
    assert sorted(path.parent.name for path in tmp_path.glob("*/*.db")) == ["data0", "data1"]
