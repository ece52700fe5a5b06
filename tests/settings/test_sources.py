"""Where values come from, which source wins, and what is refused on the way."""

from pathlib import Path

import pytest

from bodhi_asgi.errors import ConfigurationInvalid, MissingDependency
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.settings.sources import FOREIGN


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def refused(file: Path) -> str:
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig.load(file)
    return caught.value.message


def test_an_argument_wins_over_the_environment_over_a_file_over_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path / "bodhi.toml", "[engine]\nslots = 2\nthreads = 2\nn_batch = 64\n")
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "3")
    monkeypatch.setenv("BODHI_ENGINE__THREADS", "3")
    config = BodhiServerConfig.load(file, engine={"slots": 4})
    engine = config.engine
    assert (engine.slots, engine.threads, engine.n_batch, engine.queue_limit) == (4, 3, 64, 64)
    assert config.origin("engine.slots") == "argument"
    assert config.origin("engine.threads") == "environment"
    assert config.origin("engine.n_batch") == "file"
    assert config.origin("engine.queue_limit") == "default"
    with pytest.raises(KeyError):
        config.origin("engine")


def test_rows_say_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_CORS_ORIGINS", "https://a.example, https://b.example")
    rows = {row.name: row for row in BodhiServerConfig(docs=False).rows()}
    row = rows["cors_origins"]
    assert (row.value, row.origin, row.default) == ("https://a.example,https://b.example", "environment", "")
    assert (rows["docs"].value, rows["docs"].origin, rows["demo"].value) == ("false", "argument", "true")


def test_an_empty_variable_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_PUBLIC_URL", " ")
    assert BodhiServerConfig().origin("public_url") == "default"


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("a=/a.gguf", {"a": "/a.gguf"}),
        ("a=/a.gguf, b=/b=c.gguf,", {"a": "/a.gguf", "b": "/b=c.gguf"}),
        ('{"a": "/a,b.gguf"}', {"a": "/a,b.gguf"}),
        ("{}", {}),
    ],
)
def test_models_come_as_pairs_or_as_json(monkeypatch: pytest.MonkeyPatch, text: str, models: dict[str, str]) -> None:
    monkeypatch.setenv("BODHI_MODELS", text)
    assert BodhiServerConfig().models == models


@pytest.mark.parametrize("text", ["a", "a=/a.gguf,b", '{"a": ', "{" * 5000, "a=/a,a=/b", '{"a": "/a", "a": "/b"}'])
def test_models_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BODHI_MODELS", text)
    with pytest.raises(ConfigurationInvalid, match=r"\(in the environment as BODHI_MODELS\)"):
        BodhiServerConfig()


@pytest.mark.parametrize(
    "text", ['["https://a.example", "http://b.example:8000"]', "https://a.example,http://b.example:8000"]
)
def test_origins_come_as_list_or_as_json(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BODHI_CORS_ORIGINS", text)
    assert BodhiServerConfig().cors_origins == ("https://a.example", "http://b.example:8000")


@pytest.mark.parametrize("text", ['["https://a.example"', "[7]", "*"])
def test_origins_that_cannot_be_read_are_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BODHI_CORS_ORIGINS", text)
    with pytest.raises(ConfigurationInvalid, match="cors_origins"):
        BodhiServerConfig()


def test_an_address_in_brackets_is_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_BIND_ADDRESS", "[::1]:1135")
    assert BodhiServerConfig().host_and_port == ("::1", 1135)


def test_a_wrong_variable_is_named_beside_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "many")
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig()
    assert caught.value.param == "engine.slots"
    assert "'engine.slots' (in the environment as BODHI_ENGINE__SLOTS) is 'many'" in caught.value.message


@pytest.mark.parametrize("variable", [*FOREIGN, "BODHI_LLAMACPP_ARGS_CUDA"])
def test_variables_of_bodhiapp_are_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(
        ConfigurationInvalid, match=r"belongs to BodhiApp and means nothing here; (use|unset)"
    ) as caught:
        BodhiServerConfig()
    assert caught.value.param == variable


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("BODHI_DATADIR", "did you mean BODHI_DATA_DIR?"),
        ("BODHI_ENGINE_SLOTS", "did you mean BODHI_ENGINE__SLOTS?"),
        ("BODHI_SLOTS", "did you mean BODHI_ENGINE__SLOTS?"),
        ("BODHI_ENGINE", "is a group of settings; use one of it, such as BODHI_ENGINE__"),
        ("BODHI_QQQQQQQQ", "unset it"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest(
    monkeypatch: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig()
    assert variable in caught.value.message
    assert hint in caught.value.message


def test_what_kubernetes_says_of_a_service_called_bodhi_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, text in {
        "BODHI_SERVICE_HOST": "10.0.0.7",
        "BODHI_SERVICE_PORT": "1135",
        "BODHI_SERVICE_PORT_HTTP": "1135",
        "BODHI_PORT": "tcp://10.0.0.7:1135",
        "BODHI_PORT_1135_TCP": "tcp://10.0.0.7:1135",
        "BODHI_PORT_1135_TCP_ADDR": "10.0.0.7",
    }.items():
        monkeypatch.setenv(variable, text)
    assert {row.origin for row in BodhiServerConfig().rows()} == {"default"}


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_a_file_can_be_yaml(tmp_path: Path, suffix: str) -> None:
    file = written(tmp_path / f"bodhi.{suffix}", "models:\n  a: /a.gguf\nengine:\n  slots: 2\ndocs: null\n")
    config = BodhiServerConfig.load(str(file))
    assert (config.models, config.engine.slots, config.docs) == ({"a": "/a.gguf"}, 2, None)
    assert config.origin("docs") == "file"


@pytest.mark.parametrize("name", ["empty.yaml", "empty.toml"])
def test_an_empty_file_sets_nothing(tmp_path: Path, name: str) -> None:
    assert {row.origin for row in BodhiServerConfig.load(written(tmp_path / name, "")).rows()} == {"default"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.ini", "", "ends in neither .toml nor .yaml"),
        ("a.toml", "slots =", "cannot be understood"),
        ("a.toml", "x = " + "[" * 5000, "nested too deeply"),
        ("a.yaml", "a: [", "cannot be understood"),
        ("a.yaml", "[" * 5000, "nested too deeply"),
        ("a.yaml", "demo: true\ndemo: false", "'demo' is given twice"),
        ("a.yaml", "engine: {slots: 1, slots: 2}", "'slots' is given twice"),
        ("a.yaml", "!!python/object/apply:os.system ['true']", "cannot be understood"),
        ("a.yaml", "- a", "is not a table"),
        ("a.yaml", "1: 2", "is not a table"),
        ("a.yaml", "engine: {slots: on}", "'engine.slots' (in the file"),
        ("a.toml", "engine = 'fast'", "a table is accepted"),
        ("a.toml", "slots = 1", "did you mean 'engine.slots'?"),
        ("a.toml", "a = '" + "x" * 1024 * 1024 + "'", "is larger than 1048576 bytes"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, name: str, text: str, told: str) -> None:
    message = refused(written(tmp_path / name, text))
    assert told in message
    assert "\n" not in message


def test_a_file_that_is_not_there_or_not_text_is_named(tmp_path: Path) -> None:
    assert "none.toml' cannot be read: No such file" in refused(tmp_path / "none.toml")
    assert "is no path" in refused(tmp_path / "a\0.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    assert "is not UTF-8" in refused(binary)


def test_a_table_over_a_value_that_is_none_names_the_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "a.toml", "engine = 'fast'")
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "3")
    assert "'engine' (in the file) is 'fast': a table of settings is accepted" in refused(file)


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file = written(tmp_path / "a.yaml", "\n".join([*lines, "models: {a: *a11}"]))
    assert "no setting" in refused(file) or "needs a path" in refused(file)


def test_no_file_is_read_unless_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / ".env", "BODHI_ENGINE__SLOTS=2")
    written(tmp_path / "bodhi.toml", "[engine]\nslots = 2")
    assert BodhiServerConfig().engine.slots == 8


def test_without_yaml_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    with pytest.raises(MissingDependency, match=r"bodhi-asgi\[cli\]"):
        BodhiServerConfig.load(written(tmp_path / "a.yaml", "demo: false"))
