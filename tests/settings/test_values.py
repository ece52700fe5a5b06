"""What each setting accepts, and the sentence that refuses everything else."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.errors import ConfigurationInvalid, Kind
from bodhi_asgi.settings.schema import BodhiServerConfig, setting_names
from bodhi_asgi.settings.sections import EngineSettings


def refused(**settings: Any) -> ConfigurationInvalid:
    with pytest.raises(ConfigurationInvalid) as caught:
        BodhiServerConfig(**settings)
    return caught.value


def test_the_defaults_are_complete_and_touch_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    config = BodhiServerConfig()
    assert config.data_dir.is_absolute()
    assert config.resolved_database_url == f"sqlite:///{config.data_dir / 'bodhi.db'}"
    assert (config.migrations, config.demo, config.enable_http, config.docs) == ("auto", True, False, None)
    assert config.engine.isolation == "process"
    assert config.host_and_port == ("127.0.0.1", 1135)
    assert list(tmp_path.iterdir()) == []


def test_every_setting_has_a_description_and_a_variable() -> None:
    rows = BodhiServerConfig().rows()
    assert [row.name for row in rows] == setting_names()
    for row in rows:
        assert row.description.endswith(".")
        assert row.env == "BODHI_" + row.name.upper().replace(".", "__")


@pytest.mark.parametrize(
    ("settings", "param", "told"),
    [
        ({"engine": {"slots": 0}}, "engine.slots", "is 0: a whole number from 1 to 256 is accepted"),
        ({"engine": {"slots": "many"}}, "engine.slots", "is 'many': a whole number from 1 to 256 is accepted"),
        ({"engine": {"slots": True}}, "engine.slots", "is True: a whole number from 1 to 256 is accepted"),
        ({"engine": {"slots": 1.5}}, "engine.slots", "is 1.5: a whole number"),
        ({"engine": {"linger_s": float("nan")}}, "engine.linger_s", "is nan: a number from 0 to 86400 is accepted"),
        ({"engine": {"linger_s": float("inf")}}, "engine.linger_s", "is inf: a number from 0"),
        ({"engine": {"request_timeout_s": 0}}, "engine.request_timeout_s", "a number over 0 to 86400"),
        ({"engine": {"isolation": "fork"}}, "engine.isolation", "'process' or 'thread' is accepted"),
        ({"engine": "fast"}, "engine", "is 'fast': a table is accepted, with n_ctx, n_batch"),
        ({"engine": [1]}, "engine", "is a list: a table is accepted"),
        ({"engine": {"slotz": 1}}, "engine.slotz", "is no setting; did you mean 'engine.slots'?"),
        ({"slots": 1}, "slots", "is no setting; did you mean 'engine.slots'?"),
        ({"databse_url": "x"}, "databse_url", "is no setting; did you mean 'database_url'?"),
        ({"zzz": 1}, "zzz", "is no setting; 'bodhi settings' lists them all"),
        ({"engine": {1: 2}}, "engine.1", "is no setting"),
        ({"tokens": {"lifetime_days": 3651}}, "tokens.lifetime_days", "from 1 to 3650"),
        ({"database": {"pool_size": 65}}, "database.pool_size", "from 1 to 64"),
        ({"migrations": "never"}, "migrations", "'auto' or 'check' or 'manual' is accepted"),
        ({"demo": "perhaps"}, "demo", "is 'perhaps': true or false is accepted"),
        ({"docs": "perhaps"}, "docs", "true or false is accepted"),
        ({"data_dir": None}, "data_dir", "is None: a path is accepted"),
        ({"data_dir": ""}, "data_dir", "a folder of its own"),
        ({"data_dir": "/"}, "data_dir", "the root of a file system"),
        ({"data_dir": "/a\0b"}, "data_dir", "a folder of its own"),
        ({"log_level": object()}, "log_level", "is a object: 'debug'"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(settings: dict[str, Any], param: str, told: str) -> None:
    error = refused(**settings)
    assert error.kind is Kind.INVALID
    assert error.param == param
    assert told in error.message
    assert "\n" not in error.message
    assert error.__cause__ is None


def test_a_configuration_does_not_change() -> None:
    config = BodhiServerConfig(models={"a": "/a.gguf"})
    with pytest.raises(ValueError, match="frozen"):
        config.demo = False  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        config.engine.slots = 2  # type: ignore[misc]
    for change in (
        lambda: config.models.update(b="/b.gguf"),
        lambda: config.models.__setitem__("b", "/b.gguf"),
        lambda: config.models.pop("a"),
        lambda: config.models.clear(),
    ):
        with pytest.raises(TypeError, match="make a new BodhiServerConfig"):
            change()
    assert config.models == {"a": "/a.gguf"}


def test_a_configuration_can_be_hashed_copied_and_pickled() -> None:
    config = BodhiServerConfig(models={"a": "/a.gguf"}, engine={"slots": 2})
    for other in (copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert other == config
        assert hash(other) == hash(config)
        assert other.origin("engine.slots") == "argument"


def test_a_section_can_be_given_as_an_object() -> None:
    config = BodhiServerConfig(engine=EngineSettings(slots=3))
    assert config.engine.slots == 3
    assert config.origin("engine.slots") == "argument"
    assert config.origin("engine.threads") == "default"


def test_the_data_directory_is_whole_and_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert BodhiServerConfig(data_dir="~/bodhi").data_dir == tmp_path / "bodhi"
    assert BodhiServerConfig(data_dir="bodhi").data_dir == tmp_path / "bodhi"
    assert "no home directory" in refused(data_dir="~nobody-of-this-name/bodhi").message


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:memory:",
        "sqlite:///notes.db",
        "sqlite:////var/lib/a b/notes.db",
        "postgresql://ada:lovelace@localhost/notes",
        "postgres://localhost/notes?sslmode=verify-full",
        "postgresql+asyncpg://ada@[::1]:5432/notes",
        "postgresql:///notes?host=/run/postgresql",
    ],
)
def test_these_databases_are_accepted(url: str) -> None:
    assert BodhiServerConfig(database_url=url).resolved_database_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "notes.db",
        "sqlite:notes.db",
        "sqlite:////",
        "sqlite:///a.db?mode=ro",
        "sqlite+aiosqlite:///a.db",
        "mysql://localhost/notes",
        "postgresql:",
        "postgresql://",
        "postgresql+psycopg2://localhost/notes",
        "postgresql://localhost:port/notes",
        "postgresql://localhost/notes\n",
        "sqlite:///a\0b",
    ],
)
def test_these_databases_are_refused(url: str) -> None:
    assert refused(database_url=url).param == "database_url"


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:1135", ("::1", 1135)),
        ("localhost:65535", ("localhost", 65535)),
        ("a-b.example.:80", ("a-b.example.", 80)),
    ],
)
def test_an_address_has_two_parts(address: str, parts: tuple[str, int]) -> None:
    assert BodhiServerConfig(bind_address=address).host_and_port == parts


@pytest.mark.parametrize(
    "address",
    ["", ":80", "localhost", "localhost:", "::1:80", "[::1]", "[zz]:80", "a b:80", "-a:80", "*:80", "http://a:80",
     "a:65536", "a:-1", "a:\uff18\uff10", "a:00000080", "a:80\n"],
)  # fmt: skip
def test_these_addresses_are_refused(address: str) -> None:
    assert refused(bind_address=address).param == "bind_address"


def test_a_public_address_loses_its_last_slash() -> None:
    assert BodhiServerConfig(public_url="https://a.example/bodhi/").public_url == "https://a.example/bodhi"
    assert BodhiServerConfig(public_url="http://[::1]:8000").public_url == "http://[::1]:8000"


@pytest.mark.parametrize(
    "url",
    ["", "a.example", "ftp://a.example", "https://", "https://[", "https://a.example:port", "https://u:p@a.example",
     "https://@a.example", "https://a.example/?", "https://a.example/#x", "https://a.example/../b",
     "https://a.example/%2e%2e/b", "https://a.example//b", "https://a.example\\b", "https://a.example/a b",
     "https://a.example/\u202eb", "javascript:alert(1)"],
)  # fmt: skip
def test_these_public_addresses_are_refused(url: str) -> None:
    assert refused(public_url=url).param == "public_url"


def test_origins_are_exact() -> None:
    config = BodhiServerConfig(cors_origins=["https://a.example", "http://localhost:3000"])
    assert config.cors_origins == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "origin",
    ["*", "null", "", "https://*.example", "https://a.example/", "https://a.example/x", "https://u@a.example",
     "https://A.example", "https://a.example:443", "http://a.example:80", "a.example", "file://a", "https://[", 7],
)  # fmt: skip
def test_these_origins_are_refused(origin: object) -> None:
    assert refused(cors_origins=[origin]).param == "cors_origins"


def test_origins_are_a_list() -> None:
    assert "a list is accepted" in refused(cors_origins=7).message


@pytest.mark.parametrize("name", ["a", "Llama-3.2:1b", "owner/repo@main", "a.b_c+d", "x" * 128])
def test_these_models_can_be_named(name: str) -> None:
    assert BodhiServerConfig(models={name: Path("/a.gguf")}).models == {name: "/a.gguf"}


@pytest.mark.parametrize("name", ["", "x" * 129, "a b", "a\n", "é", "-a", "/a", "a/", "a//b", "a/../b", "a/.", 7])
def test_these_models_cannot(name: Any) -> None:
    error = refused(models={name: "/a.gguf"})
    assert error.param == "models"
    assert "a model cannot be called" in error.message


@pytest.mark.parametrize("reference", [None, 7, "", " ", "a\0b", ["/a.gguf"]])
def test_a_model_needs_a_path(reference: object) -> None:
    assert "the model 'a'" in refused(models={"a": reference}).message


def test_models_are_a_mapping() -> None:
    assert "a mapping of names to paths is accepted" in refused(models=7).message


@pytest.mark.parametrize("name", ["", "1a", "A", "a-b", "x" * 64, "pg_temp", "information_schema", 'a"; drop'])
def test_these_schemas_are_refused(name: str) -> None:
    assert refused(database={"schema_name": name}).param == "database.schema_name"


def test_a_schema_can_be_named() -> None:
    assert BodhiServerConfig(database={"schema_name": "bodhi_1"}).database.schema_name == "bodhi_1"


@pytest.mark.parametrize(
    "settings",
    [
        {"data_dir": "${HOME}/bodhi"},
        {"database_url": "postgresql://ada:changeme@localhost/notes"},
        {"database_url": "postgresql://ada:<password>@localhost/notes"},
        {"public_url": "https://your-domain.example"},
        {"models": {"small": "/path/to/model.gguf"}},
        {"models": {"small": "{{ model_path }}"}},
    ],
)
def test_what_a_template_left_open_is_no_value(settings: dict[str, Any]) -> None:
    assert "is a placeholder; put your own value in its place" in refused(**settings).message


@given(st.text())
def test_whatever_text_comes_is_accepted_or_refused_by_us(text: str) -> None:
    for name in ("database_url", "bind_address", "public_url", "cors_origins", "models", "data_dir", "demo"):
        try:
            BodhiServerConfig(**{name: text})
        except ConfigurationInvalid as error:
            assert error.param == name  # noqa: PT017
