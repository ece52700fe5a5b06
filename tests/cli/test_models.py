"""``bodhi list``, ``create``, ``cp`` and ``rm``: the journey of an alias from a file to its end."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bodhi
from tests.gguf.files import model_bytes
from tests.shelf.hub_cache import HubCache

FOUND = "owner/repo:Q4_K_M"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubCache:
    """A cache with one model in it."""
    monkeypatch.setenv("BODHI_HUB__CACHE_DIR", str(tmp_path / "hub"))
    cache = HubCache(tmp_path / "hub")
    cache.add("owner/repo", "model-Q4_K_M.gguf", model_bytes(), ref="main")
    return cache


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "alias.toml"
    path.write_text(
        """
model = "parrot"
keep_alive = "5m"
system_prompt = "You are a poet."

[request_params]
max_tokens = 1
temperature = 0.5

[settings]
n_ctx = 128
"""
    )
    return path


def listed(bodhi: Bodhi, *options: str) -> list[dict[str, Any]]:
    told = bodhi("list", "--json", *options)
    assert told.exit_code == 0, told.stderr
    models: list[dict[str, Any]] = json.loads(told.stdout)
    return models


def names(bodhi: Bodhi, *options: str) -> list[str]:
    return [model["alias"] for model in listed(bodhi, *options)]


def test_the_list_has_what_the_settings_name_and_what_lies_here(bodhi: Bodhi, cache: HubCache) -> None:
    lines = [line.split("\t") for line in bodhi("list").stdout.splitlines()]
    assert lines[0] == ["model", "kind", "size", "quantisation", "context", "of"]
    assert [line[0] for line in lines[1:]] == ["demo", FOUND, "parrot"]
    assert lines[2][-1] == "owner/repo/model-Q4_K_M.gguf"
    assert names(bodhi, "--search", "OWNER") == [FOUND]
    assert names(bodhi, "--type", "alias") == []
    assert names(bodhi, "--sort", "repo") == ["demo", "parrot", FOUND]


def test_an_alias_is_made_spoken_to_copied_and_removed(bodhi: Bodhi, recipe: Path) -> None:
    made = bodhi("create", "poet", "-f", str(recipe))
    assert (made.exit_code, made.stdout) == (0, "The alias 'poet' stands for parrot of bodhi/settings.\n")
    (poet,) = listed(bodhi, "--type", "alias")
    assert poet["request_params"] == {"max_tokens": 1, "temperature": 0.5, "system_prompt": "You are a poet."}
    assert (poet["context_params"], poet["keep_alive"]) == (["--ctx-size 128"], 300)
    assert bodhi("run", "poet", "hello there").stdout == "hello\n"
    copied = bodhi("cp", "poet", "bard")
    assert (copied.exit_code, copied.stdout) == (0, "The alias 'bard' is what 'poet' is.\n")
    assert names(bodhi, "--type", "alias") == ["bard", "poet"]
    gone = bodhi("rm", "poet")
    assert (gone.exit_code, gone.stdout) == (0, "The alias 'poet' is gone; its file stays.\n")
    assert bodhi("run", "poet", "hello").exit_code == 3


def test_an_alias_that_is_there_is_made_anew(bodhi: Bodhi, recipe: Path) -> None:
    first = json.loads(bodhi("create", "poet", "-f", str(recipe), "--json").stdout)
    recipe.write_text('model = "parrot"\n')
    second = json.loads(bodhi("create", "poet", "-f", str(recipe), "--json").stdout)
    assert (second["id"], second["request_params"], second["context_params"]) == (first["id"], {}, [])


def test_a_file_and_a_setting_are_copied_to_aliases(bodhi: Bodhi, cache: HubCache) -> None:
    assert bodhi("cp", FOUND, "mine").exit_code == 0
    assert bodhi("cp", "demo", "small").exit_code == 0
    mine, small = listed(bodhi, "--type", "alias")
    assert (mine["alias"], mine["repo"], mine["filename"]) == ("mine", "owner/repo", "model-Q4_K_M.gguf")
    assert (small["repo"], small["filename"]) == ("bodhi/settings", "demo")


def test_a_file_is_removed_by_its_name_or_with_its_alias(bodhi: Bodhi, cache: HubCache) -> None:
    assert bodhi("cp", FOUND, "mine").exit_code == 0
    in_use = bodhi("rm", FOUND)
    assert in_use.exit_code == 5
    assert "is what the alias 'mine' stands for; delete that first" in in_use.stderr
    told = bodhi("rm", "mine", "--file", "--json")
    assert (told.exit_code, json.loads(told.stdout)["files"]) == (0, 1)
    assert names(bodhi) == ["demo", "parrot"]
    cache.add("owner/repo", "model-Q4_K_M.gguf", model_bytes(), ref="main")
    assert bodhi("rm", FOUND).stdout.startswith(f"The model '{FOUND}' is gone, and ")


def test_an_alias_stays_with_its_file_that_another_needs_unless_forced(bodhi: Bodhi, cache: HubCache) -> None:
    assert [bodhi("cp", FOUND, name).exit_code for name in ("mine", "other")] == [0, 0]
    refused = bodhi("rm", "mine", "--file")
    assert (refused.exit_code, refused.stderr.count("\n")) == (5, 1)
    assert "the alias 'other' stands for" in refused.stderr
    assert names(bodhi, "--type", "alias") == ["mine", "other"]
    assert bodhi("rm", "mine", "--file", "--force").stdout.startswith("The model 'mine' is gone, and ")
    assert names(bodhi) == ["demo", "other", "parrot"]
    absent = bodhi("rm", "other", "--file")
    assert (absent.exit_code, absent.stdout) == (0, "The alias 'other' is gone; its file was not here.\n")


def test_what_the_settings_name_is_not_removed(bodhi: Bodhi) -> None:
    refused = bodhi("rm", "parrot")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "take it out of the setting models" in refused.stderr


@pytest.mark.parametrize("command", [("rm", "nothing"), ("cp", "nothing", "x")], ids=lambda command: command[0])
def test_what_is_not_there_is_named(bodhi: Bodhi, command: tuple[str, ...]) -> None:
    result = bodhi(*command)
    assert (result.exit_code, result.stderr) == (3, "Error: there is no model 'nothing'\n")


def test_a_name_that_is_taken_is_refused(bodhi: Bodhi) -> None:
    result = bodhi("cp", "parrot", "demo", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stderr)["error"]["code"] == "data_service_error-alias_exists"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model = ", "cannot be understood"),
        ("name = 'x'", "'name' is no field of an alias"),
        ("model = 'parrot'\nrepo = 'a/b'", "'model' stands for 'repo' and 'filename'"),
        ("model = 5", "'model' is the name of a model"),
        ("repo = 'a/b'", "'filename' is required"),
        ("model = 'parrot'\nsystem_prompt = 'a'\nrequest_params = {system_prompt = 'b'}", "say it once"),
        ("model = 'parrot'\nsystem_prompt = 'a'\nrequest_params = 3", "say it once"),
        ("model = 'parrot'\nsettings = {n_ctx = 'many'}", "'n_ctx' is 'many'"),
        ("model = 'parrot'\ncontext_params = ['--jinja']", "'--jinja' means none of the settings"),
        ("model = 'parrot'\nrequest_params = {temperature = 9}", "'request_params.temperature' is 9"),
        ("#" + "x" * 300_000, "is larger than"),
    ],
)
def test_a_recipe_that_is_wrong_is_refused_in_one_sentence(bodhi: Bodhi, recipe: Path, text: str, told: str) -> None:
    recipe.write_text(text)
    result = bodhi("create", "poet", "-f", str(recipe))
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert told in result.stderr


def test_a_recipe_that_is_no_text_is_refused(bodhi: Bodhi, recipe: Path) -> None:
    recipe.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in bodhi("create", "poet", "-f", str(recipe)).stderr
    assert bodhi("create", "poet", "-f", str(recipe.parent / "none.toml")).exit_code == 2
