"""A request chooses a LoRA adapter by its name at every door, and never by a file."""

from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.adapter_files import write_swap, write_untied

ASK: dict[str, Any] = {
    "model": "small",
    "temperature": 0,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapters")
    write_untied(folder / "model.gguf")
    write_swap(folder / "swap.gguf")
    return folder


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, folder: Path) -> dict[str, Any]:
    small = {"path": str(folder / "model.gguf"), "adapters": {"swap": {"path": folder / "swap.gguf", "scale": 0}}}
    return {
        "data_dir": tmp_path / "data",
        "models": {"small": small},
        "demo": False,
        "engine": {"isolation": request.param, "n_ctx": 256, "slots": 2, "threads": 1},
    }


async def test_an_adapter_applies_to_the_request_that_names_it(door: Door) -> None:
    token = await token_for(door, "small")
    plain = await door.chat(ASK, token)
    changed = await door.chat({**ASK, "lora": [{"name": "swap"}]}, token)
    chunks = await door.stream({**ASK, "lora": [{"name": "swap", "scale": 1.0}]}, token)

    assert plain.text == "The capital of France is Paris."
    assert changed.text == "The capital of France is Paris!"
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == changed.text


async def test_what_was_computed_with_an_adapter_is_used_again_with_the_same_one_only(door: Door) -> None:
    token = await token_for(door, "small")
    changed = {**ASK, "lora": [{"name": "swap"}]}

    async def cached(body: dict[str, Any]) -> tuple[str, int]:
        answer = await door.chat(body, token)
        return answer.text, answer.body["usage"]["prompt_tokens_details"]["cached_tokens"]

    assert await cached(changed) == ("The capital of France is Paris!", 0)
    text, again = await cached(changed)
    assert text == "The capital of France is Paris!"
    assert again > 0
    assert await cached(ASK) == ("The capital of France is Paris.", 0)
    assert (await cached(ASK))[1] > 0


WRONG: list[tuple[Any, str]] = [
    ([{"name": "/etc/passwd"}], "lora.0.name"),
    ([{"name": "swap"}, {"name": "other"}], "lora.1.name"),
    ([{"name": "swap"}, {"name": "swap"}], "lora.1.name"),
    ([{"id": 0, "scale": 1.0}], "lora.0.name"),
    ([{"name": "swap", "path": "x.gguf"}], "lora.0.path"),
    ([{"name": "swap", "scale": 17}], "lora.0.scale"),
    ([{"name": "swap"}] * 17, "lora"),
    ("swap", "lora"),
]


async def test_anything_but_a_known_name_is_refused_by_its_place(door: Door) -> None:
    token = await token_for(door, "small")
    for lora, param in WRONG:
        answer = await door.chat({**ASK, "lora": lora}, token)
        assert (answer.status, answer.error["param"]) == (400, param)
