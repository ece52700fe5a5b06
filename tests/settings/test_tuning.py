"""What is said of one model differs from what is said of all, is checked as strictly, and must go together."""

from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.builder import BodhiServerBuilder
from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.settings.tuning import ModelSettings, path_of, tuned


def refused(**settings: Any) -> ConfigurationInvalid:
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig(**settings)
    return caught.value


def test_a_model_may_differ_from_the_others() -> None:
    config = BodhiServerConfig(
        models={"big": {"path": "/big.gguf", "n_ctx": 4096, "cache_type_k": "q8_0"}, "small": "/small.gguf"},
        engine={"n_ctx": 512, "slots": 2, "tensor_split": "3,1"},
    )
    assert [path_of(entry) for entry in config.models.values()] == ["/big.gguf", "/small.gguf"]
    big, small = (tuned(config.engine, entry) for entry in config.models.values())
    assert (big.n_ctx, big.cache_type_k, big.slots, big.tensor_split) == (4096, "q8_0", 2, (3.0, 1.0))
    assert small == config.engine
    assert hash(config.models) != hash(BodhiServerConfig(models={"small": "/small.gguf"}).models)


def test_the_same_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "bodhi.toml"
    file.write_text('[models]\nsmall = "/small.gguf"\n[models.big]\npath = "/big.gguf"\nn_ctx = 4096\n')
    wanted = {"small": "/small.gguf", "big": ModelSettings(path="/big.gguf", n_ctx=4096)}
    assert BodhiServerConfig.load(file).models == wanted
    text = '{"small": "/small.gguf", "big": {"path": "/big.gguf", "n_ctx": 4096}}'
    monkeypatch.setenv("BODHI_MODELS", text)
    config = BodhiServerConfig()
    assert config.models == wanted
    assert "big=/big.gguf n_ctx=4096" in next(row.value for row in config.rows() if row.name == "models")
    monkeypatch.setenv("BODHI_MODELS", '{"big": {"path": "/big.gguf", "n_ctx": 1, "n_ctx": 2}}')
    with pytest.raises(ConfigurationInvalid, match="'n_ctx' is given twice"):
        BodhiServerConfig()


async def test_a_builder_takes_what_differs_with_the_model() -> None:
    server = await BodhiServerBuilder().model("a", "/a.gguf").model("b", Path("/b.gguf"), slots=1).build()
    assert server.config.models == {"a": "/a.gguf", "b": ModelSettings(path="/b.gguf", slots=1)}


@pytest.mark.parametrize(
    ("entry", "param", "told"),
    [
        ({"n_ctx": 1}, "models", "the model 'a' needs a path"),
        ({"path": "/a.gguf", "n_ctx": -1}, "models.a.n_ctx", "is -1: a whole number from 0 to 1048576 is accepted"),
        ({"path": "/a.gguf", "n_ctxx": 1}, "models.a.n_ctxx", "did you mean 'models.a.n_ctx'?"),
        ({"path": "/a.gguf", "isolation": "thread"}, "models.a.isolation", "is no setting"),
        ({"path": "/a.gguf", "slots": True}, "models.a.slots", "a whole number from 1 to 256 is accepted"),
        ({"path": "/a.gguf", "cache_type_k": "q3"}, "models.a.cache_type_k", "'f16' or 'bf16' or"),
        ({"path": "/a.gguf", "tensor_split": [0, 0]}, "models.a.tensor_split", "shares such as 3,1"),
        ({"path": "/a.gguf", "tensor_split": "x"}, "models.a.tensor_split", "shares such as 3,1"),
        ({"path": "/a.gguf", "tensor_split": [1] * 17}, "models.a.tensor_split", "a list"),
        ({"path": "/a.gguf", "tensor_split": 3}, "models.a.tensor_split", "a list"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_path(entry: dict[str, Any], param: str, told: str) -> None:
    error = refused(models={"a": entry})
    assert error.param == param
    assert told in error.message


def test_settings_that_contradict_each_other_are_refused_together() -> None:
    error = refused(engine={"flash_attention": "off", "cache_type_v": "q8_0"})
    assert (error.param, "needs flash attention" in error.message) == ("engine.cache_type_v", True)
    error = refused(engine={"flash_attention": "off"}, models={"a": {"path": "/a.gguf", "cache_type_v": "q4_0"}})
    assert error.param == "models.a.cache_type_v"
    error = refused(engine={"n_batch": 64, "n_ubatch": 65})
    assert (error.param, "n_batch = 64" in error.message) == ("engine.n_ubatch", True)
    error = refused(engine={"n_batch": 64, "slots": 65})
    assert (error.param, "n_batch = 64" in error.message) == ("engine.slots", True)
    BodhiServerConfig(engine={"n_batch": 2048}, models={"a": {"path": "/a.gguf", "n_ubatch": 1024}})


def test_a_yaml_truth_value_is_no_choice() -> None:
    assert "'auto' or 'on' or 'off' is accepted" in refused(engine={"flash_attention": True}).message
