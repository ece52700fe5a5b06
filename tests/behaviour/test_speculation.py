"""Guesses of next tokens at every door: the same answers, whole and streamed."""

from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door

WORDS = "green tiger blue river green tiger blue river"


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    demo = str(DEMO_MODEL_PATH)
    return {
        "data_dir": tmp_path / "data",
        "models": {
            "plain": demo,
            "looks": {"path": demo, "speculation": "lookup", "draft_tokens": 12},
            "drafts": {"path": demo, "draft": demo},
        },
        "demo": False,
        "engine": {"isolation": request.param, "n_ctx": 256, "slots": 2, "threads": 1},
    }


async def test_answers_with_guesses_are_those_without(door: Door) -> None:
    token = await token_for(door, "plain", "looks", "drafts")
    body = {"temperature": 0, "max_tokens": 40, "messages": [{"role": "user", "content": f"Repeat after me: {WORDS}"}]}
    plain = await door.chat({**body, "model": "plain"}, token)
    assert door.app.server.services.meters.drafted_tokens.value(model="plain") == 0
    for model in ("looks", "drafts"):
        whole = await door.chat({**body, "model": model}, token)
        chunks = await door.stream({**body, "model": model}, token)

        assert whole.text == plain.text
        assert whole.body["usage"]["completion_tokens"] == plain.body["usage"]["completion_tokens"]
        meters = door.app.server.services.meters
        drafted, accepted = (meter.value(model=model) for meter in (meters.drafted_tokens, meters.accepted_tokens))
        assert 0 < accepted <= drafted
        assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == plain.text
