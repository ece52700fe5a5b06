"""Fixtures of the behaviour tests: the door, the tokens, and a server with the deterministic runner."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Grants, Scope
from tests.behaviour.doors import DOORS, Door, open_door

READ_AND_USE = (Scope.MODELS_READ, Scope.INFERENCE)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Settings of the server behind the door; a test module overrides this fixture for another engine."""
    return {
        "data_dir": tmp_path / "data",
        "models": {"parrot": "parrot", "secret": "secret"},
        "demo": False,
        "engine": {"runner": "echo", "isolation": "thread", "n_ctx": 256, "slots": 4},
    }


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest, settings: dict[str, Any]) -> AsyncIterator[Door]:
    """The same server through each of the five doors."""
    async with open_door(request.param, BodhiApp(**settings)) as opened:
        yield opened


async def token_for(door: Door, *models: str, **options: Any) -> str:
    """A fresh token with grants on ``models``."""
    created = await door.app.server.create_api_token(
        "test", scopes=READ_AND_USE, grants=Grants(models=frozenset(models)), **options
    )
    return created.token.reveal()


@pytest.fixture
async def token(door: Door) -> str:
    """A token that may use ``parrot`` and nothing else."""
    return await token_for(door, "parrot")
