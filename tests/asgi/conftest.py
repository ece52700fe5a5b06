"""An application with the deterministic runner, and a token that may use its one model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp

ECHO: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256, "slots": 4}


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., BodhiApp]:
    """Applications, each with a data directory of its own."""
    made: list[BodhiApp] = []

    def make(**settings: Any) -> BodhiApp:
        folder = tmp_path / f"data{len(made)}"
        app = BodhiApp(**{"data_dir": folder, "models": {"parrot": "x"}, "demo": False, "engine": ECHO, **settings})
        made.append(app)
        return app

    return make


@pytest.fixture
def app(make_app: Callable[..., BodhiApp]) -> BodhiApp:
    return make_app()
