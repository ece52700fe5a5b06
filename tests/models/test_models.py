"""Models named by setting: who sees them, who may use them, and what stands behind a name."""

import os
import sys
from pathlib import Path

import pytest

from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.caller import Caller, Forbidden, Grants, ModelForbidden, Scope
from bodhi_asgi.clock import StillClock
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.files import locate
from bodhi_asgi.models.service import ModelService
from bodhi_asgi.settings.sections import EngineSettings

ALL = Caller.host()
SOME = Caller.user("ann", grants=Grants(models=frozenset({"small"})))
LISTS = Caller.user("bob", grants=Grants(models=frozenset({"small"}), list_models=True))
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "small.gguf"
    path.write_bytes(b"GGUF")
    os.utime(path, (1_000_000, 1_000_000))
    return path


def service(names: dict[str, str], cache: MemoryCache, *, demo: bool = True, **engine: int) -> ModelService:
    """Names from the settings alone."""
    configured = ConfiguredModels(models=names, demo=demo, engine=EngineSettings(**engine), cache=cache)
    return ModelService(configured=configured)


@pytest.fixture
def models(file: Path, clock: StillClock) -> ModelService:
    names = {"small": str(file), "gone": str(file.with_name("gone.gguf"))}
    cache = MemoryCache(max_entries=10, ttl_s=60, clock=clock)
    return service(names, cache, slots=3, n_ctx=99)


async def test_who_may_list_sees_all_and_what_is_usable(models: ModelService) -> None:
    assert [(card.id, card.usable) for card in await models.list(ALL)] == [
        ("demo", True),
        ("gone", True),
        ("small", True),
    ]
    assert [(card.id, card.usable) for card in await models.list(SOME)] == [("small", True)]
    assert [(card.id, card.usable) for card in await models.list(LISTS)] == [
        ("demo", False),
        ("gone", False),
        ("small", True),
    ]
    assert [(card.source, card.created > 0) for card in await models.list(ALL)] == [
        ("demo", True),
        ("setting", False),
        ("setting", True),
    ]


async def test_a_files_time_is_asked_once_a_minute(models: ModelService, file: Path, clock: StillClock) -> None:
    assert (await models.get(ALL, "small")).created == 1_000_000
    os.utime(file, (2_000_000, 2_000_000))
    assert (await models.get(ALL, "small")).created == 1_000_000
    clock.advance(60)
    assert (await models.get(ALL, "small")).created == 2_000_000


async def test_what_one_may_not_know_of_is_not_there(models: ModelService) -> None:
    for name in ("demo", "nothing"):
        with pytest.raises(ModelNotFound) as missing:
            await models.get(SOME, name)
        assert (missing.value.status, missing.value.param) == (404, "model")
    with pytest.raises(Forbidden):
        await models.get(Caller.user("x", scopes=(Scope.INFERENCE,)), "small")


async def test_a_name_becomes_a_file_with_the_settings_of_the_engine(models: ModelService, file: Path) -> None:
    spec = (await models.resolve(SOME, "small")).spec
    assert (spec.name, spec.path, spec.slots, spec.n_ctx) == ("small", str(file), 3, 99)
    assert (await models.resolve(ALL, "demo")).spec.path == str(DEMO_MODEL_PATH)
    with pytest.raises(ModelForbidden, match="no grant to use the model 'demo'"):
        await models.resolve(LISTS, "demo")
    with pytest.raises(ModelNotFound):
        await models.resolve(ALL, "nothing")
    with pytest.raises(ModelFileMissing, match=r"there is no file at .*gone\.gguf"):
        await models.resolve(ALL, "gone")


async def test_a_setting_takes_the_place_of_the_demo_model(file: Path, clock: StillClock) -> None:
    cache = MemoryCache(max_entries=10, ttl_s=60, clock=clock)
    own = service({"demo": str(file)}, cache)
    assert (await own.resolve(ALL, "demo")).spec.path == str(file)
    none = service({}, cache, demo=False)
    assert await none.list(ALL) == []


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache with one file, in the layout its own library writes."""
    root = tmp_path / "hub"
    snapshot = root / "models--some--repo" / "snapshots" / REVISION
    snapshot.mkdir(parents=True)
    (snapshot / "q4.gguf").write_bytes(b"GGUF")
    (root / "models--some--repo" / "refs").mkdir()
    (root / "models--some--repo" / "refs" / "main").write_text(REVISION)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(root))
    return snapshot


def test_a_hub_reference_is_found_in_its_cache(hub: Path) -> None:
    assert locate("m", "some/repo/q4.gguf") == hub / "q4.gguf"
    with pytest.raises(ModelFileMissing, match=r"'q8\.gguf' of 'some/repo' is not in the Hugging Face cache"):
        locate("m", "some/repo/q8.gguf")


@pytest.mark.parametrize(
    "reference", ["some/repo/../../../etc/passwd.gguf", "../x/y.gguf", "some/repo/q4.bin", "", "some/repo"]
)
def test_what_is_no_reference_is_a_path_that_is_not_there(hub: Path, reference: str) -> None:
    with pytest.raises(ModelFileMissing, match="there is no file at"):
        locate("m", reference)


def test_a_hub_reference_needs_the_hubs_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependency, match="bodhi-asgi\\[hub\\]"):
        locate("m", "some/repo/q4.gguf")


def test_a_home_and_links_are_followed(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert locate("m", "~/small.gguf") == file
    link = tmp_path / "link.gguf"
    link.symlink_to(file)
    assert locate("m", str(link)) == file
