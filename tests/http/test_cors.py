"""Cross-origin sharing: nothing unless an exact origin is named, and never with credentials."""

from pathlib import Path

import pytest

from tests.http.conftest import Site, site

ASKS = {"access-control-request-method": "POST"}


@pytest.fixture
def origin() -> str:
    return "https://app.example"


async def test_nothing_is_said_to_other_origins_by_default(here: Site, origin: str) -> None:
    answer = await here.client.get("/ping", headers={"origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "vary" not in answer.headers
    assert (await here.client.options("/ping", headers={"origin": origin, **ASKS})).status_code == 401


async def test_a_named_origin_may_send_its_token(tmp_path: Path, origin: str) -> None:
    async with site(tmp_path, cors_origins=(origin,)) as here:
        asked = await here.client.options("/v1/chat/completions", headers={"origin": origin, **ASKS})
        assert asked.status_code == 204
        assert asked.headers["access-control-allow-origin"] == origin
        assert "authorization" in asked.headers["access-control-allow-headers"]
        answer = await here.client.get("/v1/models", headers={"origin": origin})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == origin
        assert answer.headers["vary"] == "origin"
        assert "access-control-allow-credentials" not in {*asked.headers, *answer.headers}


@pytest.mark.parametrize(
    "foreign",
    ["https://app.example.evil.example", "http://app.example", "https://app.example:8443", "null", "*", "", "https://"],
)
async def test_whoever_is_not_named_exactly_is_foreign(tmp_path: Path, origin: str, foreign: str) -> None:
    async with site(tmp_path, cors_origins=(origin,)) as here:
        asked = await here.client.options("/v1/models", headers={"origin": foreign, **ASKS})
        assert asked.status_code == 401
        answer = await here.client.get("/ping", headers={"origin": foreign})
        assert "access-control-allow-origin" not in answer.headers
        assert answer.headers["vary"] == "origin"
